"""Rows of artifacts: none without its file, and no file removed that has one."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.store import artifact_rows
from studio.store.artifact_rows import ArtifactGone
from studio.store.artifacts import Artifact, Orphan
from studio.store.database import Database
from studio.store.tables import ArtifactRow
from tests.fakes.artifact_stores import FolderStore, Store


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    file = tmp_path / "clip.mp4"
    file.write_bytes(b"film" * 100)
    return file


def test_a_file_that_is_gone_gets_no_row(store: Store, database: Database, clip: Path) -> None:
    artifacts = store.opened()
    put = artifacts.put(clip)
    store.change(f"{put.digest[:2]}/{put.digest}.mp4", None)
    with pytest.raises(ArtifactGone), database.write() as session:
        artifact_rows.keep(session, artifacts, [put], 0.0)
    with database.read() as session:
        assert session.get(ArtifactRow, put.digest) is None


def test_files_that_are_removed_before_they_have_their_rows_are_stored_again(
    store: Store, database: Database, clip: Path
) -> None:
    artifacts, tries = store.opened(), []

    def note(kept: list[Artifact]) -> str:
        tries.append(kept)
        if len(tries) < 3:
            store.change(f"{kept[0].digest[:2]}/{kept[0].digest}.mp4", None)
        with database.write() as session:
            artifact_rows.keep(session, artifacts, kept, 0.0)
        return "noted"

    assert artifact_rows.stored(artifacts, [clip], note) == "noted"
    assert len(tries) == 3
    assert len(store.contents()) == 1


def test_a_file_that_never_stays_is_given_up(tmp_path: Path, database: Database, clip: Path) -> None:
    store = FolderStore(tmp_path)
    artifacts = store.opened()

    def note(kept: list[Artifact]) -> None:
        store.change(f"{kept[0].digest[:2]}/{kept[0].digest}.mp4", None)
        with database.write() as session:
            artifact_rows.keep(session, artifacts, kept, 0.0)

    with pytest.raises(ArtifactGone):
        artifact_rows.stored(artifacts, [clip], note)


def orphan(digest: str) -> Orphan:
    return Orphan(key=f"{digest[:2]}/{digest}.mp4", location="", bytes=1, before=0.0)


def test_only_orphans_without_a_row_are_held_and_leave_none(database: Database) -> None:
    noted, new = "a" * 64, "b" * 64
    with database.write() as session:
        session.add(ArtifactRow(digest=noted, suffix=".mp4", bytes=1, created=0.0))
    with (
        database.write() as session,
        artifact_rows.held_unnamed(session, [orphan(new), orphan(noted)]) as unnamed,
    ):
        assert [one.digest for one in unnamed] == [new]
        assert session.get(ArtifactRow, new) is not None
    with database.read() as session:
        assert session.get(ArtifactRow, new) is None
        assert session.get(ArtifactRow, noted) is not None


def test_rows_that_nothing_has_are_forgotten(database: Database) -> None:
    with database.write() as session:
        session.add(ArtifactRow(digest="a" * 64, suffix=".mp4", bytes=1, created=0.0))
        session.flush()
        artifact_rows.forget_unused(session)
        assert session.get(ArtifactRow, "a" * 64) is None
