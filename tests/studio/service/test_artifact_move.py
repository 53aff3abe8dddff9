"""Taking a studio's files to another place."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.domain.errors import Refused
from studio.jobs import claims
from studio.service.studio import Service
from studio.store.artifact_place import artifacts_at
from studio.store.database import Database
from tests.fakes.artifact_stores import FolderStore, S3Store
from tests.fakes.inline_studio import Studio
from tests.fakes.s3 import S3


def test_an_interrupted_move_goes_on(database: Database, tmp_path: Path, s3: S3) -> None:
    studio = Studio(tmp_path, database)
    project = studio.rendered()
    store, folder = S3Store(tmp_path, s3), FolderStore(tmp_path)
    told: list[tuple[int, int]] = []

    def interrupt(done: int, count: int) -> None:
        told.append((done, count))
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        studio.service.storage.move_artifacts(store.opened(), interrupt)
    assert len(store.contents()) == 5
    state = studio.service.projects.state(project)
    studio.service.rendering.reroll(project, "a")  # the studio is used where it is
    studio.work()
    s3.requests.clear()
    moved = studio.service.storage.move_artifacts(store.opened(), lambda done, count: None)
    assert store.contents() == folder.contents()
    assert moved.files == len(store.contents())
    assert moved.bytes == sum(map(len, store.contents().values()))
    assert moved.missing == ()
    assert sum(method == "PUT" for method, _ in s3.requests) == moved.files - 5
    remote = Service(tmp_path, database, artifacts=artifacts_at(tmp_path, store.place))
    take = state.shots[1].take
    assert take is not None
    with remote.files.media(project, take, "clip").local() as path:
        assert path.stat().st_size > 0
    studio.service.rendering.reroll(project, "b")
    studio.work()  # a worker that was not told
    last = max(studio.service.queue.state().jobs, key=lambda job: job.id)
    assert (last.state, last.error_code) == ("failed", "artifacts-elsewhere")


def test_nothing_is_moved_while_a_job_runs(database: Database, tmp_path: Path) -> None:
    studio = Studio(tmp_path, database)
    project = studio.rendered()
    studio.service.rendering.reroll(project, "a")
    with database.write() as session:
        assert claims.claim(session, "another worker") is not None
    with pytest.raises(Refused, match="a job is running"):
        studio.service.storage.move_artifacts(
            artifacts_at(tmp_path, str(tmp_path / "films")), lambda done, count: None
        )
    assert not (tmp_path / "films").exists()
