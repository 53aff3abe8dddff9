"""What projects occupy on the disk, and which files would be freed without some of their takes.

Functions are part of the caller's transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from studio.domain.messages import Message, message
from studio.store import picture_rows
from studio.store.tables import ArtifactRow, PictureRow, ProjectRow, TakeRow

UNNAMED: Final = message("file-of-no-shot")
"""Why a picture of a project is not needed."""

TakeName = tuple[str, str]
"""A take by its project and its id."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Bytes of a project's files; `own` of them belong to no other project."""

    own: int
    shared: int


def usage_by_project(session: Session) -> dict[str, Usage]:
    """What each project occupies, by its id."""
    sizes = {row.digest: row.bytes for row in session.scalars(select(ArtifactRow))}
    users: dict[str, set[str]] = defaultdict(set)
    for (project, _), digest in used_files(session):
        users[digest].add(project)
    own: dict[str, int] = defaultdict(int)
    shared: dict[str, int] = defaultdict(int)
    for digest, projects in users.items():
        for project in projects:
            (own if len(projects) == 1 else shared)[project] += sizes.get(digest, 0)
    return {
        project: Usage(own=own[project], shared=shared[project])
        for project in session.scalars(select(ProjectRow.id))
    }


def used_files(session: Session) -> Iterator[tuple[TakeName, str]]:
    """Each file of each take: the take, and the file's digest; for pictures of projects the take is ""."""
    columns = (TakeRow.clip, TakeRow.latents, TakeRow.trace, TakeRow.thumbnail)
    for project, take, *digests in session.execute(select(TakeRow.project, TakeRow.id, *columns)):
        for digest in digests:
            yield (project, take), digest
    for project, digest in session.execute(select(PictureRow.project, PictureRow.digest)):
        yield (project, ""), digest


def discarded_takes(session: Session) -> list[TakeName]:
    """The takes in the bins of projects that no shot shows."""
    found = []
    for row in session.scalars(select(ProjectRow)):
        used = {*row.document["chosen"].values(), *row.document.get("drafts", {}).values()}
        unused = row.document["discarded"].keys() - used
        takes = session.scalars(select(TakeRow.id).where(TakeRow.project == row.id, TakeRow.id.in_(unused)))
        found += [(row.id, take) for take in takes]
    return found


def files_in_bin(session: Session) -> list[TakeName]:
    """The takes of projects that are in the bin, and "" for the pictures of each."""
    binned = select(ProjectRow.id).where(ProjectRow.trashed.is_not(None))
    rows = session.execute(select(TakeRow.project, TakeRow.id).where(TakeRow.project.in_(binned)))
    return [*((project, take) for project, take in rows), *((name, "") for name in session.scalars(binned))]


def delete_discarded(session: Session, project: str | None = None) -> int:
    """Deletes the takes that `discarded_takes` lists, or those of one project; returns how many."""
    found = [name for name in discarded_takes(session) if project in (None, name[0])]
    for name in found:
        row = session.get(TakeRow, name)
        assert row is not None, "listed in this transaction"
        session.delete(row)
    for owner in {owner for owner, _ in found}:
        gone = {take for deleted_from, take in found if deleted_from == owner}
        row_of_project = session.get(ProjectRow, owner)
        assert row_of_project is not None, "its takes were listed in this transaction"
        document = row_of_project.document
        left = {take: value for take, value in document["discarded"].items() if take not in gone}
        row_of_project.document = {**document, "discarded": left}
    session.flush()
    return len(found)


def digests_in_use(
    session: Session, without: Mapping[TakeName, Message]
) -> tuple[frozenset[str], dict[str, Message]]:
    """The digests that takes and projects have, and those that only takes in `without` have, with the value
    there. Pictures that nothing names are among the latter.
    """
    unnamed = picture_rows.unnamed(session, without)
    used: set[str] = set()
    freed: dict[str, Message] = {}
    for take, digest in used_files(session):
        if take in without:
            freed[digest] = without[take]
        elif not take[1] and (take[0], digest) in unnamed:
            freed[digest] = UNNAMED
        else:
            used.add(digest)
    return frozenset(used), {digest: reason for digest, reason in freed.items() if digest not in used}
