"""Takes in the database, and the strips of takes that each shot has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from studio.domain.file_types import TAKE_FILES
from studio.domain.finished_take import FinishedTake
from studio.store.artifacts import Artifacts
from studio.store.documents import inputs_from_json, inputs_to_json
from studio.store.tables import ArtifactRow, StripRow, TakeRow


@dataclass(frozen=True, kw_only=True)
class StoredTake(FinishedTake):
    """A take with its files (by digest), what rendered it, and the seconds each stage took.

    `former_ids` are ids by which traces of earlier versions may name it. `program`, `device` and `dtype` are
    None where an earlier version did not record them; so is `model_name`, what the model was called.
    """

    backend: str
    program: str | None = None
    model_name: str | None = None
    device: str | None = None
    dtype: str | None = None
    former_ids: tuple[str, ...] = ()
    timings: Mapping[str, float]
    own_share: float | None
    caption_share: float | None = None
    clip: str
    latents: str
    trace: str
    thumbnail: str
    created: float


_TAKE: Final = TypeAdapter(StoredTake)


def takes_of(session: Session, project: str) -> dict[str, StoredTake]:
    """All takes of a project by id, the oldest first."""
    rows = session.scalars(select(TakeRow).where(TakeRow.project == project).order_by(TakeRow.created))
    return {row.id: _take(row) for row in rows}


def take_of(session: Session, project: str, take: str) -> StoredTake | None:
    """One take of a project; None where it is not there."""
    row = session.get(TakeRow, (project, take))
    return None if row is None else _take(row)


def find_take(session: Session, take: str) -> StoredTake | None:
    """A take of any project; takes of the same id are the same."""
    row = session.scalars(select(TakeRow).where(TakeRow.id == take).limit(1)).first()
    return None if row is None else _take(row)


def record_of(session: Session, project: str) -> dict[str, Any]:
    """The takes and strips of a project as JSON, for a bundle."""
    takes = session.scalars(select(TakeRow).where(TakeRow.project == project).order_by(TakeRow.id))
    strips = session.scalars(
        select(StripRow).where(StripRow.project == project).order_by(StripRow.shot, StripRow.take)
    )
    return {
        "takes": [
            {
                column.name: getattr(row, column.name)
                for column in TakeRow.__table__.columns
                if column.name != "project"
            }
            for row in takes
        ],
        "strips": [{"shot": row.shot, "take": row.take, "added": row.added} for row in strips],
    }


def take_from_record(record: dict[str, Any]) -> StoredTake:
    """A take as `record_of` has it; raises pydantic's `ValidationError` or `BadStoryboard`."""
    return _checked(_TAKE.validate_python({**record, "inputs": inputs_from_json(record["inputs"])}))


def _checked(take: StoredTake) -> StoredTake:
    """A take whose numbers fit into the database; raises `ValueError`."""
    whole = (take.frames, take.rolled_from or 0)
    if not all(0 <= number < 2**63 for number in whole) or not math.isfinite(take.created):
        raise ValueError("a number of the take is out of range")
    return take


def strips_of(session: Session, project: str) -> dict[str, list[str]]:
    """The ids of each shot's takes by shot id, in the order they came."""
    rows = session.scalars(
        select(StripRow).where(StripRow.project == project).order_by(StripRow.added, StripRow.take)
    )
    strips: dict[str, list[str]] = {}
    for row in rows:
        strips.setdefault(row.shot, []).append(row.take)
    return strips


def remove_damaged(session: Session, project: str, artifacts: Artifacts) -> list[str]:
    """Removes the takes whose files are missing or of another size than they were; returns their ids."""
    sizes = {row.digest: row.bytes for row in session.scalars(select(ArtifactRow))}

    def is_whole(digest: str, suffix: str) -> bool:
        return digest in sizes and artifacts.size(digest, suffix) == sizes[digest]

    damaged = [
        row
        for row in session.scalars(select(TakeRow).where(TakeRow.project == project))
        if not all(is_whole(getattr(row, kind), file_type.suffix) for kind, file_type in TAKE_FILES.items())
    ]
    for row in damaged:
        session.delete(row)
    session.flush()
    return [row.id for row in damaged]


def keep(session: Session, project: str, take: StoredTake) -> None:
    """Adds a take whose artifacts are noted; if it exists, it gets the files and figures of this render."""
    row = session.get(TakeRow, (project, take.id))
    if row is not None:
        row.clip, row.latents, row.trace, row.thumbnail = take.clip, take.latents, take.trace, take.thumbnail
        row.backend, row.timings, row.frames = take.backend, dict(take.timings), take.frames
        row.program, row.device, row.dtype = take.program, take.device, take.dtype
        row.model_name = take.model_name
        row.lora_files = list(take.lora_files)
        session.flush()
        return
    session.add(
        TakeRow(
            project=project,
            id=take.id,
            inputs=inputs_to_json(take.inputs),
            caption=take.caption,
            context=[list(pair) for pair in take.context],
            links=dict(take.links),
            strongest={name: list(found) for name, found in take.strongest.items()},
            own_share=take.own_share,
            caption_share=take.caption_share,
            rolled_from=take.rolled_from,
            frames=take.frames,
            backend=take.backend,
            program=take.program,
            model_name=take.model_name,
            device=take.device,
            dtype=take.dtype,
            former_ids=list(take.former_ids),
            lora_files=list(take.lora_files),
            timings=dict(take.timings),
            clip=take.clip,
            latents=take.latents,
            trace=take.trace,
            thumbnail=take.thumbnail,
            created=take.created,
        )
    )
    session.flush()


def _take(row: TakeRow) -> StoredTake:
    return StoredTake(
        id=row.id,
        inputs=inputs_from_json(row.inputs),
        caption=row.caption,
        frames=row.frames,
        context=tuple((shot, take) for shot, take in row.context),
        links=row.links,
        rolled_from=row.rolled_from,
        backend=row.backend,
        program=row.program,
        model_name=row.model_name,
        device=row.device,
        dtype=row.dtype,
        former_ids=tuple(row.former_ids),
        lora_files=tuple(row.lora_files),
        timings=row.timings,
        strongest={name: (part, share) for name, (part, share) in row.strongest.items()},
        own_share=row.own_share,
        caption_share=row.caption_share,
        clip=row.clip,
        latents=row.latents,
        trace=row.trace,
        thumbnail=row.thumbnail,
        created=row.created,
    )
