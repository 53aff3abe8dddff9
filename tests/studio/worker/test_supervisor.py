"""The worker beside the web process: replaced when it dies, gone when it is told to go."""

import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from moc_engine.processes import is_running
from studio.domain.errors import StudioError
from studio.jobs import queue
from studio.jobs.job import ATTEMPTS
from studio.jobs.order import RenderOrder
from studio.service.job_state import JobState
from studio.service.studio import Service
from studio.store.database import Database
from studio.worker.supervisor import Supervisor, Supervisors
from tests.fakes.inline_studio import BOARD
from tests.fakes.waiting import until
from tests.fakes.worker_records import FakeRecords

RENDERS = """
import time
from tests.fakes.renderer import FakeRenderer
from studio.worker.process import main
main(lambda model: FakeRenderer(lambda shot, step: time.sleep(0.3)))
"""
DIES = (sys.executable, "-S", "-c", "")
STAYS = (sys.executable, "-S", "-c", "import time; time.sleep(600)")
IGNORES = (
    sys.executable,
    "-S",
    "-c",
    "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
    "open(sys.argv[2] + '/child', 'w').write(str(child.pid) + '\\n'); time.sleep(60)",
)


@contextmanager
def running(supervisor: Supervisor) -> Iterator[Supervisor]:
    supervisor.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()
        assert supervisor.process is None or supervisor.process.poll() is not None


def test_a_dead_workers_job_goes_on_and_a_stopped_ones_waits_again(
    database: Database, tmp_path: Path
) -> None:
    service = Service(tmp_path, database)
    project = service.projects.create(BOARD)
    with database.write() as session:
        queue.enqueue(session, project, [RenderOrder(shot=s, reason="test", seconds=1.0) for s in "ab"])

    def in_order() -> list[JobState]:
        return sorted(service.queue.state().jobs, key=lambda job: job.id)

    def states() -> list[str]:
        return [job.state for job in in_order()]

    supervisor = Supervisor(tmp_path, service.queue, command=(sys.executable, "-c", RENDERS))
    with running(supervisor):
        until(lambda: states() == ["running", "queued"])
        assert supervisor.process is not None
        os.kill(supervisor.process.pid, signal.SIGKILL)
        until(lambda: states() == ["done", "running"])
    first, second = in_order()
    assert (first.state, first.attempts) == ("done", 2)
    assert (second.state, second.attempts) == ("queued", 0)


def test_each_dead_worker_is_told_and_replaced(tmp_path: Path) -> None:
    records = FakeRecords()
    with running(Supervisor(tmp_path, records, command=DIES)):
        until(lambda: len(records.died) >= 2)
    assert len(set(records.died)) == len(records.died)
    assert all(name.startswith("worker-") for name in records.died)


def test_trouble_with_a_worker_is_no_end_of_it(tmp_path: Path) -> None:
    class FullDisk(FakeRecords):
        def worker_died(self, worker: str) -> None:
            super().worker_died(worker)
            raise StudioError("the disk is full")

    records = FullDisk()
    with running(Supervisor(tmp_path, records, command=DIES)):
        until(lambda: len(records.died) >= 2)


def test_a_program_that_is_not_there_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    records = FakeRecords()
    with running(Supervisor(tmp_path, records, command=("/no/such/program",))) as supervisor:
        until(lambda: len(caplog.records) >= 2)
        assert supervisor.process is None
    assert {record.getMessage() for record in caplog.records} == {"the worker could not be supervised"}
    assert records.died == records.stopped == []


def test_stopping_ends_the_worker_at_once(tmp_path: Path) -> None:
    records = FakeRecords()
    supervisor = Supervisor(tmp_path, records, command=STAYS, patience=300.0)
    with running(supervisor):
        until(lambda: supervisor.process is not None)
        began = time.monotonic()
    assert time.monotonic() - began < 60
    assert (len(records.stopped), records.died) == (1, [])


def test_a_worker_that_does_not_listen_is_killed_with_what_it_started(tmp_path: Path) -> None:
    """It was told to end, and so it did not die at its job."""
    records = FakeRecords()
    supervisor = Supervisor(tmp_path, records, command=IGNORES, patience=0.3)
    child = tmp_path / "child"
    with running(supervisor):
        until(lambda: child.exists() and child.read_text().endswith("\n"))
        number = int(child.read_text())
        assert is_running(number)
    assert supervisor.process is not None
    assert supervisor.process.returncode == -signal.SIGKILL
    assert (len(records.stopped), records.died) == (1, [])
    until(lambda: not is_running(number))


def test_several_workers_are_started_and_stopped_together(tmp_path: Path) -> None:
    records = FakeRecords()
    single = [Supervisor(tmp_path, records, command=STAYS, patience=300.0) for _ in range(3)]
    together = Supervisors(single)
    together.start()
    until(lambda: all(one.process is not None for one in single))
    together.stop()
    assert len(set(records.stopped)) == 3
    assert all(one.process is not None and one.process.poll() is not None for one in single)


def test_what_never_began_can_be_stopped(tmp_path: Path) -> None:
    records = FakeRecords()
    Supervisor(tmp_path, records).stop()
    assert records.died == records.stopped == []


BLOCKS = """
import ctypes, sys
from pathlib import Path
from tests.fakes.renderer import FakeRenderer
from studio.worker.process import main
folder, how = Path(sys.argv.pop(1)), sys.argv.pop(1)
def load(model):
    (folder / "loading").touch()
    library = ctypes.PyDLL(None) if how == "with the interpreter locked" else ctypes.CDLL(None)
    while True:
        library.sleep(60)
class Blocks(FakeRenderer):
    def render(self, request, cancel=None):
        load(None)
        return (yield from super().render(request, cancel))
main(load if how == "before the render" else lambda model: Blocks())
"""
"""A worker whose model loads for ever in native code, outside Python's lock or holding it."""


@pytest.mark.parametrize("how", ["before the render", "in native code", "with the interpreter locked"])
def test_a_worker_stopped_while_it_loads_a_model_loses_no_attempt(
    database: Database, tmp_path: Path, how: str
) -> None:
    """However often: the job is neither counted as tried nor parked."""
    service = Service(tmp_path, database)
    (job,) = service.rendering.render(service.projects.create(BOARD), ("a",))
    command = (sys.executable, "-c", BLOCKS, str(tmp_path), how)
    locked = how == "with the interpreter locked"
    for _ in range(ATTEMPTS):
        (tmp_path / "loading").unlink(missing_ok=True)
        supervisor = Supervisor(tmp_path, service.queue, command, patience=1.0 if locked else 30.0)
        with running(supervisor):
            until((tmp_path / "loading").exists)
            (loading,) = service.queue.jobs((job,))
            assert (loading.state, loading.stage) == ("running", "load")
        assert supervisor.process is not None
        assert (supervisor.process.returncode == -signal.SIGKILL) == locked
        (waiting,) = service.queue.jobs((job,))
        assert (waiting.state, waiting.attempts, waiting.error) == ("queued", 0, None)


def test_a_job_cancelled_while_native_code_loads_ends_and_the_next_one_begins(
    database: Database, tmp_path: Path
) -> None:
    """Its worker cannot go on, and is replaced."""
    service = Service(tmp_path, database)
    first, second = (
        service.rendering.render(service.projects.create(BOARD), (shot,))[0] for shot in ("a", "b")
    )
    command = (sys.executable, "-c", BLOCKS, str(tmp_path), "in native code")
    with running(Supervisor(tmp_path, service.queue, command)):
        until((tmp_path / "loading").exists)
        service.queue.cancel(first)
        until(lambda: service.queue.jobs((first,))[0].state == "cancelled")
        until(lambda: service.queue.jobs((second,))[0].state == "running")
    cancelled, after = service.queue.jobs((first, second))
    assert (cancelled.state, cancelled.error) == ("cancelled", None)
    assert (after.state, after.attempts) == ("queued", 0)


LOADS_LOCKED = """
import ctypes
from tests.fakes.renderer import FakeRenderer
from studio.worker.process import main
class Loads(FakeRenderer):
    def render(self, request, cancel=None):
        ctypes.PyDLL(None).sleep(6)
        return (yield from super().render(request, cancel))
main(lambda model: Loads())
"""


def test_a_worker_that_loads_with_the_interpreter_locked_keeps_its_job(
    database: Database, tmp_path: Path
) -> None:
    """Though no heartbeat can be sent for longer than its lease."""
    service = Service(tmp_path, database)
    (job,) = service.rendering.render(service.projects.create(BOARD), ("a",))
    command = (sys.executable, "-c", LOADS_LOCKED, "--lease", "4")
    with running(Supervisor(tmp_path, service.queue, command, grace=0.2)) as supervisor:
        until(lambda: service.queue.jobs((job,))[0].state == "running")
        process = supervisor.process
        until(lambda: service.queue.jobs((job,))[0].state == "done")
        assert supervisor.process is process
    assert service.queue.jobs((job,))[0].attempts == 1
