"""Models whose files take long to read: the worker reads them before it renders, a page never does."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from moc_engine.errors import RenderCancelled
from studio.domain.edits.film import SetSettings
from studio.domain.settings import Settings
from studio.jobs import claims, queue
from studio.store import takes
from studio.store.database import Database
from studio.store.lora_identity import LoraIdentities
from studio.store.model_identity import READ_AT_ONCE, ModelIdentities, identify
from studio.store.rename_rows import rename_takes
from studio.store.take_renaming import legacy_identity
from studio.worker.analysis_job import AnalysisJobs
from studio.worker.running_job import RunningJob
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.waiting import until


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """The weights of a large model, last changed a minute ago."""
    folder = tmp_path / "model" / "transformer"
    folder.mkdir(parents=True)
    (folder.parent / "model_index.json").write_text('{"_class_name": "WanPipeline"}')
    file = folder / "model.safetensors"
    with file.open("wb") as stream:
        stream.truncate(READ_AT_ONCE + 2**20)
    os.utime(file, (time.time() - 60, time.time() - 60))
    return file


def test_takes_of_a_large_model_are_fresh_until_any_byte_of_it_changes(
    tmp_path: Path, database: Database, weights: Path
) -> None:
    studio = Studio(tmp_path, database)
    board = replace(BOARD, settings=Settings(model=str(weights.parents[1])))
    project = studio.rendered(board)
    assert [shot.state for shot in studio.service.projects.state(project).shots] == ["fresh"] * 3
    with database.read() as session:
        models = {take.inputs.model for take in takes.takes_of(session, project).values()}
    assert models == {identify(str(weights.parents[1]))}
    with weights.open("r+b") as stream:
        stream.seek(READ_AT_ONCE // 2)
        stream.write(b"1")
    assert [shot.state for shot in studio.service.projects.state(project).shots] == ["outdated"] * 3


def test_takes_of_version_0_1_are_not_rendered_again(
    tmp_path: Path, database: Database, weights: Path
) -> None:
    model = str(weights.parents[1])
    studio = Studio(tmp_path, database)
    project = studio.rendered(replace(BOARD, settings=Settings(model=model)))
    legacy = legacy_identity(model)
    assert legacy is not None
    with database.write() as session:
        assert rename_takes(session.connection(), lambda _: legacy) == 3
    later = Studio(tmp_path, database)
    assert [shot.state for shot in later.service.projects.state(project).shots] == ["outdated"] * 3
    later.service.rendering.render(project)
    later.work()
    assert later.renderer.requests == []
    state = later.service.projects.state(project)
    assert [(shot.state, len(shot.takes)) for shot in state.shots] == [("fresh", 1)] * 3


def test_opening_a_project_has_its_model_read_by_a_job(
    tmp_path: Path, database: Database, weights: Path
) -> None:
    """Once, and a page that opens it does not wait."""
    model = str(weights.parents[1])
    studio = Studio(tmp_path, database)
    project = studio.rendered(replace(BOARD, settings=Settings(model=model)))
    with weights.open("r+b") as stream:
        stream.write(b"1")
    os.utime(weights, (time.time() - 30, time.time() - 30))
    studio.service.queue.clear()
    for _ in range(2):
        studio.service.projects.open(project)
    (job,) = studio.service.queue.state().jobs
    assert (job.kind, job.project, job.shot, job.state) == ("analysis", None, None, "queued")
    stamp = studio.service.queue.project_status(project).stamp
    studio.work()
    assert studio.service.queue.project_status(project).stamp != stamp  # so that open pages refresh
    with database.read() as session:
        (done,) = queue.jobs_of(session)
    assert (done.state, done.result) == ("done", identify(model))
    studio.service.projects.open(project)
    assert len(studio.service.queue.state().jobs) == 1
    assert {shot.state for shot in studio.service.projects.state(project).shots} == {"outdated"}


def test_choosing_a_large_model_has_it_read(tmp_path: Path, database: Database, weights: Path) -> None:
    studio = Studio(tmp_path, database)
    project = studio.service.projects.create(BOARD)
    studio.service.projects.open(project)
    assert studio.service.queue.state().jobs == ()
    settings = Settings(model=str(weights.parents[1]))
    studio.service.editing.edit(project, SetSettings(settings=settings), base=0)
    (job,) = studio.service.queue.state().jobs
    assert (job.kind, job.state) == ("analysis", "queued")


def test_the_reading_of_a_model_can_be_cancelled(tmp_path: Path, database: Database, weights: Path) -> None:
    with weights.open("r+b") as stream:
        stream.truncate(8 * READ_AT_ONCE)
    os.utime(weights, (time.time() - 60, time.time() - 60))
    studio = Studio(tmp_path, database)
    board = replace(BOARD, settings=Settings(model=str(weights.parents[1])))
    studio.service.projects.open(studio.service.projects.create(board))
    (job,) = studio.service.queue.state().jobs

    with database.write() as session:
        claim = claims.claim(session, "w")
        assert claim is not None
        queue.cancel(session, job.id)
    stop = threading.Event()
    with RunningJob(database, claim, stop) as running:
        until(lambda: running.cancelled)
        with pytest.raises(RenderCancelled):
            AnalysisJobs(database, ModelIdentities(), LoraIdentities()).identify(
                str(weights.parents[1]), running
            )
        running.end_early()
    assert studio.service.queue.jobs((job.id,))[0].state == "cancelled"
