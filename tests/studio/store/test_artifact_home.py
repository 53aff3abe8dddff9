"""Where a studio keeps its artifacts, and that no process stores them elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.domain.errors import Refused
from studio.service.storage import Storage
from studio.store import artifact_home, artifact_rows
from studio.store.artifact_place import artifacts_at
from studio.store.database import Database
from studio.store.upgrade import open_database
from tests.fakes.artifact_stores import Store


def test_a_studio_without_files_may_begin_anywhere(database: Database) -> None:
    with database.write() as session:
        for home in ("", "s3://films/a", "another folder"):
            artifact_home.check(session, home)
            artifact_home.note(session, home)
            artifact_home.check(session, "")


def test_files_are_noted_in_one_place_alone(database: Database, tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(b"film")
    there, elsewhere = artifacts_at(tmp_path), artifacts_at(tmp_path, str(tmp_path / "films"))
    put = elsewhere.put(tmp_path / "clip.mp4")
    with database.write() as session:
        artifact_rows.keep(session, elsewhere, [put], 0.0)
    there.put(tmp_path / "clip.mp4")
    with (
        pytest.raises(Refused, match="are in another folder, not in the studio's folder"),
        database.write() as session,
    ):
        artifact_rows.keep(session, there, [put], 0.0)
    with database.write() as session:
        artifact_rows.keep(session, elsewhere, [put], 0.0)
        artifact_home.note(session, there.home)
        artifact_rows.keep(session, there, [put], 0.0)


def test_no_studio_uses_the_files_of_another(store: Store, database: Database, tmp_path: Path) -> None:
    artifacts = store.opened()
    artifact_home.open_home(database, artifacts)
    artifact_home.open_home(database, store.opened())
    (tmp_path / "clip.mp4").write_bytes(b"film")
    put = artifacts.put(tmp_path / "clip.mp4")
    other = open_database(tmp_path / "other")
    if artifacts.home == artifact_home.OWN:  # each has its own
        artifact_home.open_home(other, artifacts)
        assert artifacts.owner() is None
    else:
        store.age()
        with pytest.raises(Refused, match="holds the files of another studio"):
            artifact_home.open_home(other, store.opened())
        with pytest.raises(Refused, match="holds the files of another studio"):
            Storage(tmp_path / "other", other, store.opened()).collect()
    other.close()
    assert artifacts.size(put.digest, put.suffix) == 4


def test_another_folder_tells_whose_it_is(database: Database, tmp_path: Path) -> None:
    artifacts = artifacts_at(tmp_path, str(tmp_path / "films"))
    artifact_home.open_home(database, artifacts)
    artifact_home.open_home(database, artifacts)
    other = open_database(tmp_path / "other")
    with pytest.raises(Refused, match="holds the files of another studio"):
        artifact_home.open_home(other, artifacts)
    other.close()
    assert artifacts.is_empty()
