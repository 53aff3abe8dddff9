"""A failed job names the file and the cause; bugs leave a traceback in the log."""

from __future__ import annotations

import errno
import logging
import os
from pathlib import Path

import pytest

from moc_engine.errors import ModelNotFound
from studio.domain.errors import Refused
from studio.jobs import queue
from studio.store.database import Database
from studio.worker.failures import explain
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.renderer import FakeRenderer

SCRATCH = Path("/studio/scratch")
OUT_OF_MEMORY = (
    "this machine ran out of memory: close other programs, choose a smaller size, or shorten the shot"
)
CLIP = "/studio/scratch/x/clip.mp4"
WEIGHTS = "/models/wan/transformer/model.safetensors"


def os_error(number: int, filename: str | None = None) -> OSError:
    return OSError(number, os.strerror(number), filename)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (Refused("the shot was deleted"), "the shot was deleted"),
        (ModelNotFound("there is no model"), "there is no model"),
        (MemoryError(), OUT_OF_MEMORY),
        (os_error(errno.ENOENT, WEIGHTS), f"{WEIGHTS} cannot be read or written: no such file or directory"),
        (os_error(errno.EACCES, WEIGHTS), f"{WEIGHTS} cannot be read or written: permission denied"),
        (
            os_error(errno.EACCES, CLIP),
            f"{SCRATCH} cannot be written: permission denied",
        ),
        (
            os_error(errno.ENOSPC, CLIP),
            f"the disk is full: free some space for {SCRATCH}, then try again",
        ),
        (os_error(errno.ENOSPC), f"the disk is full: free some space for {SCRATCH}, then try again"),
        (
            os_error(errno.ENOSPC, "/cache/memory.bin"),
            "the disk is full: free some space for /cache/memory.bin, then try again",
        ),
        (
            os_error(errno.EIO),
            "a file could not be read or written (input/output error); see logs/worker.log",
        ),
        (
            ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"),
            "the network failed ([Errno 104] Connection reset by peer); see logs/worker.log",
        ),
        (TimeoutError("timed out"), "the network failed (timed out); see logs/worker.log"),
        (
            OSError("libcuda.so: cannot open shared object file"),
            "something unexpected happened (OSError: libcuda.so: cannot open shared object file); "
            "see logs/worker.log",
        ),
        (
            ValueError("context: must ascend"),
            "something unexpected happened (ValueError: context: must ascend); see logs/worker.log",
        ),
    ],
)
def test_a_failure_names_its_cause(error: Exception, message: str) -> None:
    assert str(explain(error, SCRATCH)) == message


@pytest.mark.parametrize(
    ("error", "logged"),
    [
        (ValueError("context: must ascend"), True),
        (os_error(errno.EACCES, WEIGHTS), True),
        (ModelNotFound("there is no model"), False),
        (MemoryError(), False),
    ],
)
def test_only_what_nobody_foresaw_leaves_a_traceback(
    tmp_path: Path, database: Database, caplog: pytest.LogCaptureFixture, error: Exception, logged: bool
) -> None:
    def fail(shot: int, step: int) -> None:
        raise error

    studio = Studio(tmp_path, database, FakeRenderer(fail))
    studio.service.rendering.render(studio.service.projects.create(BOARD), ("a",))
    with caplog.at_level(logging.ERROR, "studio.worker"):
        studio.work()
    with database.read() as session:
        (job,) = queue.jobs_of(session)
    assert (job.state, job.problem) == ("failed", explain(error, tmp_path / "scratch"))
    tracebacks = [record.exc_info[1] for record in caplog.records if record.exc_info]
    assert tracebacks == ([error] if logged else [])
