"""A worker that is stopped in the midst of a render and goes on later: its job is another's by then."""

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import select

from studio.jobs import queue
from studio.service.studio import Service
from studio.store import projects, takes
from studio.store.database import Database
from studio.store.database_url import FILE
from studio.store.tables import JobRow
from studio.worker.supervisor import Supervisor
from tests.fakes.inline_studio import BOARD
from tests.fakes.renderer import STEPS
from tests.fakes.waiting import until

FREEZES = int(os.environ.get("SOAK_FREEZES", "2"))

LEASE = 3.0
STEP = 0.3
RENDERS = (
    sys.executable,
    "-c",
    "import time\n"
    "from tests.fakes.renderer import FakeRenderer\n"
    "from studio.worker.process import main\n"
    f"main(lambda model: FakeRenderer(lambda shot, step: time.sleep({STEP})))",
    "--lease",
    str(LEASE),
)


class Queue:
    """A studio with one shot to render, as its database tells of it."""

    def __init__(self, root: Path, database: Database) -> None:
        self.root = root
        self.database = database
        self.service = Service(root, database)
        self.project = self.service.projects.create(BOARD)
        (self.job,) = self.service.rendering.render(self.project, ("a",))

    def row(self) -> JobRow:
        with self.database.read() as session:
            return session.scalars(select(JobRow).where(JobRow.id == self.job)).one()

    def freeze(self, process: int) -> None:
        """Stops a child process while it has nothing of the database in hand."""
        with closing(sqlite3.connect(self.root / FILE, timeout=60)) as alone:
            alone.execute("BEGIN EXCLUSIVE")
            os.kill(process, signal.SIGSTOP)
            os.waitid(os.P_PID, process, os.WSTOPPED)  # a signal reaches the last of its threads later
            alone.rollback()

    def step(self) -> int | None:
        """The steps of the render that are done; None before it began."""
        progress = self.row().progress
        return progress["step"] if progress is not None and progress["stage"] == "denoise" else None

    def let_work_elsewhere(self) -> None:
        """Waits until a job of another project is done, by whichever worker is left."""
        (job,) = self.service.rendering.render(self.service.projects.create(BOARD), ("a",))
        until(lambda: self.service.queue.jobs((job,))[0].state == "done")

    def kept(self) -> object:
        """Everything a commit writes."""
        with self.database.read() as session:
            chosen = projects.load(session, self.project).project.chosen
            known, strips = takes.takes_of(session, self.project), takes.strips_of(session, self.project)
            return queue.jobs_of(session, self.project), self.row().fence, chosen, known, strips

    @property
    def log(self) -> str:
        return (self.root / "logs" / "worker.log").read_text()


@pytest.fixture
def waiting(tmp_path: Path, database: Database) -> Queue:
    return Queue(tmp_path, database)


@contextmanager
def worker(root: Path, name: str) -> Iterator[int]:
    """A worker's process id; it is ended whatever state it is in."""
    process = subprocess.Popen([*RENDERS, "--root", str(root), "--name", name])
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("nth", range(FREEZES))
def test_a_frozen_workers_job_is_taken_up_and_its_late_result_refused(waiting: Queue, nth: int) -> None:
    """Woken once the other is done, and, every second time, while the other is still at it."""
    with worker(waiting.root, "one") as one, worker(waiting.root, "two") as two:
        until(lambda: waiting.step() == nth % STEPS)
        frozen, other = (one, two) if waiting.row().worker == "one" else (two, one)
        waiting.freeze(frozen)
        stopped = time.monotonic()
        until(lambda: waiting.row().fence == 2)
        taken_up = time.monotonic() - stopped
        assert taken_up > LEASE / 2
        if nth % 2:
            os.kill(frozen, signal.SIGCONT)
        until(lambda: waiting.row().state == "done")
        kept = waiting.kept()
        os.kill(frozen, signal.SIGCONT)
        until(lambda: f"job {waiting.job} went to another worker" in waiting.log)
        os.kill(other, signal.SIGKILL)
        waiting.let_work_elsewhere()  # so that the woken worker has done whatever else it would do
        assert waiting.kept() == kept
    with waiting.database.read() as session:
        assert len(takes.takes_of(session, waiting.project)) == 1
    assert waiting.row().attempts == 2


def test_a_frozen_worker_is_replaced(waiting: Queue) -> None:
    supervisor = Supervisor(
        waiting.root,
        waiting.service.queue,
        command=RENDERS,
        grace=1.0,
    )
    supervisor.start()
    try:
        until(lambda: waiting.row().progress is not None)
        frozen = supervisor.process
        assert frozen is not None
        waiting.freeze(frozen.pid)
        until(lambda: waiting.row().state == "done")
        assert frozen.poll() == -signal.SIGKILL
        assert supervisor.process is not frozen
    finally:
        supervisor.stop()
    (first, *_) = waiting.service.projects.state(waiting.project).shots
    assert (waiting.row().attempts, len(first.takes)) == (2, 1)


HOLDS = (
    sys.executable,
    "-S",
    "-c",
    "import sqlite3, sys, time; root = sys.argv[2]; db = sqlite3.connect(root + '/studio.db')\n"
    "db.execute('BEGIN EXCLUSIVE'); open(root + '/held', 'w').close(); time.sleep(60)",
)


def test_a_worker_frozen_with_the_database_in_hand_is_killed(waiting: Queue) -> None:
    supervisor = Supervisor(
        waiting.root,
        waiting.service.queue,
        command=HOLDS,
        grace=0.2,
        unknown_grace=0.2,
    )
    supervisor.start()
    try:
        until((waiting.root / "held").exists)
        holding = supervisor.process
        assert holding is not None
        until(lambda: holding.poll() == -signal.SIGKILL)
    finally:
        supervisor.stop()
    assert waiting.row().state == "queued"
