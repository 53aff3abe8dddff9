"""The way from an order to a take, by a real database, real files and a renderer without a model."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from moc_engine.errors import OutOfMemory
from studio.domain.edits.shot_inputs import SetCaption
from studio.domain.edits.timeline import Skip
from studio.domain.inputs import RenderingModel
from studio.domain.planner import shot_statuses
from studio.jobs import claims, queue
from studio.jobs.order import RenderOrder
from studio.store import projects, takes
from studio.store.artifact_place import artifacts_at
from studio.store.database import Database
from studio.store.database_url import FILE
from studio.worker.worker import Worker
from tests.fakes.artifact_paths import artifact_path
from tests.fakes.full_database import FullDatabase
from tests.fakes.projects import project
from tests.fakes.renderer import FakeRenderer
from tests.fakes.waiting import until

SMALL = {"size": (64, 64), "fps": 8.0}


def order(shot: str, **fields: object) -> RenderOrder:
    return RenderOrder(**{"shot": shot, "reason": "test", "seconds": 1.0, **fields})  # type: ignore[arg-type]


def begun(database: Database, *shots: RenderOrder) -> str:
    """A project of three shots, with these orders in the queue."""
    with database.write() as session:
        name = projects.create(
            session, project("Mira waves", "Otto runs", "Mira and Otto dance", **SMALL), now=1.0
        )
        queue.enqueue(session, name, shots)
    return name


def worker(database: Database, tmp_path: Path, renderer: FakeRenderer | None = None) -> Worker:
    made = renderer or FakeRenderer()
    return Worker(tmp_path, lambda model: made, database=database, name="w")


def states(database: Database) -> list[str]:
    with database.read() as session:
        return [job.state for job in queue.jobs_of(session)]


def test_an_order_becomes_the_chosen_take(database: Database, tmp_path: Path) -> None:
    name = begun(database, order("a"), order("b"))
    renderer = FakeRenderer()
    w = worker(database, tmp_path, renderer)
    assert w.work_once()
    assert w.work_once()
    assert not w.work_once()
    with database.read() as session:
        stored, known = projects.load(session, name), takes.takes_of(session, name)
        strips = takes.strips_of(session, name)
    assert states(database) == ["done", "done"]
    assert stored.revision == 0
    second = known[stored.project.chosen["b"]]
    assert second.context == (("a", stored.project.chosen["a"]),)
    assert second.links == {stored.project.chosen["a"]: pytest.approx(0.5, abs=1e-3)}
    assert strips == {shot: [take] for shot, take in stored.project.chosen.items()}
    artifacts = artifacts_at(tmp_path)
    for digest, suffix in (
        (second.clip, ".mp4"),
        (second.latents, ".safetensors"),
        (second.trace, ".moc"),
        (second.thumbnail, ".jpg"),
    ):
        assert artifact_path(artifacts, digest, suffix).stat().st_size > 0
    from studio.store.model_identity import identify

    found = shot_statuses(stored.project, known, RenderingModel(identity=identify(None)))
    assert [s.state for s in found] == ["fresh", "fresh", "missing"]
    assert not list((tmp_path / "scratch").iterdir())


def test_the_same_inputs_are_not_rendered_twice(database: Database, tmp_path: Path) -> None:
    renderer = FakeRenderer()
    w = worker(database, tmp_path, renderer)
    name = begun(database, order("a"))
    w.work_once()
    with database.write() as session:
        queue.enqueue(session, name, [order("a")])
    w.work_once()
    assert len(renderer.requests) == 1
    assert states(database) == ["done", "done"]


def test_a_roll_has_its_own_seed_and_stays_fresh(database: Database, tmp_path: Path) -> None:
    name = begun(database, order("a"), order("a", seed=5), order("b"))
    w = worker(database, tmp_path)
    while w.work_once():
        pass
    with database.read() as session:
        stored, known = projects.load(session, name), takes.takes_of(session, name)
    assert known[stored.project.chosen["a"]].inputs.seed == 5
    from studio.store.model_identity import identify

    assert [
        s.state for s in shot_statuses(stored.project, known, RenderingModel(identity=identify(None)))[:2]
    ] == ["fresh", "fresh"]


def test_a_kept_context_is_that_of_the_chosen_take(database: Database, tmp_path: Path) -> None:
    name = begun(database, order("a"), order("b"))
    w = worker(database, tmp_path)
    while w.work_once():
        pass
    with database.write() as session:
        before = projects.load(session, name).project.chosen
        known = takes.takes_of(session, name)
        projects.apply(session, name, SetCaption(shot="a", caption="Mira runs"), known, base=0, now=2.0)
        queue.enqueue(session, name, [order("a"), order("b", seed=9, keep_context=True)])
    while w.work_once():
        pass
    with database.read() as session:
        stored, known = projects.load(session, name), takes.takes_of(session, name)
    assert stored.project.chosen["a"] != before["a"]
    assert known[stored.project.chosen["b"]].context == (("a", before["a"]),)
    assert known[stored.project.chosen["b"]].inputs.seed == 9


def test_an_edit_in_mid_render_keeps_the_choice_and_the_take(database: Database, tmp_path: Path) -> None:
    def edit(shot: int, step: int) -> None:
        if step == 1:
            with database.write() as session:
                projects.apply(session, name, SetCaption(shot="a", caption="Mira sits"), {}, base=0, now=2.0)

    name = begun(database, order("a"))
    worker(database, tmp_path, FakeRenderer(edit)).work_once()
    with database.read() as session:
        assert projects.load(session, name).project.chosen == {}
        assert len(takes.strips_of(session, name)["a"]) == 1


def test_cancelling_in_mid_render_leaves_nothing(database: Database, tmp_path: Path) -> None:
    def cancel(shot: int, step: int) -> None:
        if step == 1:
            with database.write() as session:
                queue.cancel(session, queue.jobs_of(session)[0].id)
            until(lambda: w.job is not None and w.job.cancelled)
        seen.append(step)

    seen: list[int] = []
    begun(database, order("a"))
    w = worker(database, tmp_path, FakeRenderer(cancel))
    w.work_once()
    assert states(database) == ["cancelled"]
    assert seen == [0, 1]
    assert not list(tmp_path.glob("artifacts/*/*"))


def test_a_worker_told_to_stop_hands_its_job_back(database: Database, tmp_path: Path) -> None:
    begun(database, order("a"))
    w = worker(database, tmp_path, FakeRenderer(lambda shot, step: w.stop.set()))
    w.work_once()
    with database.read() as session:
        (job,) = queue.jobs_of(session)
    assert (job.state, job.attempts) == ("queued", 0)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OutOfMemory("a smaller size needs less"), "a smaller size needs less"),
        (
            ValueError("size: odd"),
            "something unexpected happened (ValueError: size: odd); see logs/worker.log",
        ),
        (KeyError("x"), "something unexpected happened (KeyError: 'x'); see logs/worker.log"),
    ],
)
def test_a_failure_is_told_and_the_queue_goes_on(
    database: Database, tmp_path: Path, error: Exception, words: str
) -> None:
    def fail(shot: int, step: int) -> None:
        if shot == 0:
            raise error

    begun(database, order("a"), order("b"), order("c", keep_context=True))
    w = worker(database, tmp_path, FakeRenderer(fail))
    while w.work_once():
        pass
    with database.read() as session:
        first, second, third = queue.jobs_of(session)
    assert (first.state, first.error) == ("failed", words)
    assert (second.state, second.error) == (
        "cancelled",
        "it builds on shot 1, which failed; it is tried again with that one",
    )
    assert third.state == "done"


@pytest.mark.parametrize(("refused", "rendered"), [(3, 1), (20, 2)], ids=["within a lease", "for longer"])
def test_a_failure_that_cannot_be_written_does_not_end_the_worker(
    tmp_path: Path, new_database: Path, caplog: pytest.LogCaptureFixture, refused: int, rendered: int
) -> None:
    """It is written once it can be; a job whose lease ran out meanwhile is done again."""
    shutil.copy(new_database, tmp_path / FILE)
    database = FullDatabase(tmp_path / FILE)

    def fail(shot: int, step: int) -> None:
        if len(renderer.requests) == 1:
            database.refused = refused
            raise ValueError("size: odd")

    renderer = FakeRenderer(fail)
    begun(database, order("a"))
    w = Worker(tmp_path, lambda model: renderer, database=database, name="w", lease=0.3)
    w.run(lambda: states(database) not in (["failed"], ["done"]))
    assert (len(renderer.requests), states(database)) == (rendered, ["failed" if rendered == 1 else "done"])
    words = f"the disk is full: free some space for {tmp_path}, then try again"
    assert f"the failure of job 1 cannot be recorded: {words}" in caplog.messages
    assert (f"the queue cannot be written: {words}" in caplog.messages) == (rendered == 2)
    database.close()


def test_what_cannot_be_rendered_is_said(database: Database, tmp_path: Path) -> None:
    name = begun(database, order("a"), order("gone"))
    with database.write() as session:
        projects.apply(session, name, Skip(shots=("a",), on=True), {}, base=0, now=2.0)
    w = worker(database, tmp_path)
    while w.work_once():
        pass
    with database.read() as session:
        assert [job.error for job in queue.jobs_of(session)] == [
            "the shot is skipped",
            "the shot was deleted",
        ]


def test_a_lost_job_is_not_committed(database: Database, tmp_path: Path) -> None:
    def lose(shot: int, step: int) -> None:
        if step == 3:
            with database.write() as session:
                claims.worker_died(session, "w")
                claims.claim(session, "another")

    name = begun(database, order("a"))
    worker(database, tmp_path, FakeRenderer(lose)).work_once()
    assert states(database) == ["running"]
    with database.read() as session:
        assert takes.takes_of(session, name) == {}


WORKER = """
import sys, time
from tests.fakes.renderer import FakeRenderer
from studio.worker.process import main
main(lambda model: FakeRenderer(lambda shot, step: time.sleep(0.2)))
"""


def test_a_killed_worker_process_loses_nothing(database: Database, tmp_path: Path) -> None:
    name = begun(database, order("a"), order("b"))

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", WORKER, "--root", str(tmp_path), "--name", "w"])

    first = start()
    until(lambda: states(database) == ["running", "queued"])
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    with database.write() as session:
        assert len(claims.worker_died(session, "w")) == 1
    second = start()
    try:
        until(lambda: states(database) == ["done", "done"])
    finally:
        second.terminate()
        assert second.wait(timeout=120) == 0
    with database.read() as session:
        assert len(takes.takes_of(session, name)) == 2


def test_a_worker_whose_parent_is_gone_ends(database: Database, tmp_path: Path) -> None:
    begun(database, order("a"))
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    orphan = [sys.executable, "-c", WORKER, "--root", str(tmp_path)]
    environment = {**os.environ, "MOC_STUDIO_PARENT": f"{gone.pid}:{time.time()}"}
    assert subprocess.run(orphan, env=environment, timeout=120, check=False).returncode == 0
    assert states(database) == ["queued"]
