"""The worker beside the web process: replaced when it dies, gone when it is told to go."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from studio.domain.errors import StudioError
from studio.jobs import queue
from studio.jobs.job import Order
from studio.service.state import JobState
from studio.service.studio import Service
from studio.store.database import Database
from studio.worker.supervisor import Supervisor
from tests.fakes.inline_studio import BOARD

RENDERS = """
import time
from tests.fakes.renderer import FakeRenderer
from studio.worker.worker import main
main(lambda model: FakeRenderer(lambda shot, step: time.sleep(0.3)))
"""
DIES = (sys.executable, "-S", "-c", "")
STAYS = (sys.executable, "-S", "-c", "import time; time.sleep(60)")
IGNORES = (
    sys.executable,
    "-S",
    "-c",
    "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "open(sys.argv[2] + '/ready', 'w').close(); time.sleep(60)",
)


@contextmanager
def running(supervisor: Supervisor) -> Iterator[Supervisor]:
    supervisor.start()
    try:
        yield supervisor
    finally:
        supervisor.stop()
        assert supervisor.process is None or supervisor.process.poll() is not None


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_dead_workers_job_goes_on_and_a_stopped_ones_waits_again(
    database: Database, tmp_path: Path
) -> None:
    service = Service(tmp_path, database)
    project = service.projects.create(BOARD)
    with database.write() as session:
        queue.enqueue(session, project, [Order(shot=s, reason="test", seconds=1.0) for s in "ab"], now=1.0)

    def in_order() -> list[JobState]:
        return sorted(service.queue.state().jobs, key=lambda job: job.id)

    def states() -> list[str]:
        return [job.state for job in in_order()]

    supervisor = Supervisor(tmp_path, service.queue.worker_died, command=(sys.executable, "-c", RENDERS))
    with running(supervisor):
        wait_for(lambda: states() == ["running", "queued"])
        assert supervisor.process is not None
        os.kill(supervisor.process.pid, signal.SIGKILL)
        wait_for(lambda: states() == ["done", "running"])
    first, second = in_order()
    assert (first.state, first.attempts) == ("done", 2)
    assert (second.state, second.attempts) == ("queued", 0)


def test_each_dead_worker_is_told_and_replaced(tmp_path: Path) -> None:
    died: list[str] = []
    with running(Supervisor(tmp_path, died.append, command=DIES)):
        wait_for(lambda: len(died) >= 2)
    assert len(set(died)) == len(died)
    assert all(name.startswith("worker-") for name in died)


def test_trouble_with_a_worker_is_no_end_of_it(tmp_path: Path) -> None:
    died: list[str] = []

    def fail(name: str) -> None:
        died.append(name)
        raise StudioError("the disk is full")

    with running(Supervisor(tmp_path, fail, command=DIES)):
        wait_for(lambda: len(died) >= 2)


def test_a_program_that_is_not_there_ends_nothing(tmp_path: Path) -> None:
    with running(Supervisor(tmp_path, lambda name: None, command=("/no/such/program",))) as supervisor:
        time.sleep(0.2)
        assert supervisor.process is None


def test_stopping_ends_the_worker_at_once(tmp_path: Path) -> None:
    died: list[str] = []
    supervisor = Supervisor(tmp_path, died.append, command=STAYS)
    with running(supervisor):
        wait_for(lambda: supervisor.process is not None)
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert len(died) == 1


def test_a_worker_that_does_not_listen_is_killed(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, lambda name: None, command=IGNORES, patience=0.3)
    with running(supervisor):
        wait_for((tmp_path / "ready").exists)
    assert supervisor.process is not None
    assert supervisor.process.returncode == -signal.SIGKILL


def test_what_never_began_can_be_stopped(tmp_path: Path) -> None:
    Supervisor(tmp_path, lambda name: None).stop()
