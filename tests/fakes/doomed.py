"""What other processes do, most of them to be killed in the midst of it; `PROCESSES` starts them quickly.

Each says through its pipe what it was told is kept.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, Final

from studio.domain.edits.shot_inputs import SetCaption
from studio.jobs import claims
from studio.store import projects, takes
from studio.store.artifacts import Artifacts
from studio.store.upgrade import open_database

PROCESSES: Final = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["pytest", "tests.fakes.doomed"])


def edit_forever(root: Path, url: str | None, project: str, told: Connection) -> None:
    """Edits a project's first caption to "edit 1", "edit 2", … and tells the number of each that is kept."""
    database = open_database(root, url)
    with database.read() as session:
        revision = projects.load(session, project).revision
    while True:
        with database.write(project=project) as session:
            edit = SetCaption(shot="a", caption=f"edit {revision + 1}")
            projects.apply(session, project, edit, {}, base=revision, now=0.0)
        revision += 1
        told.send(revision)


def open_slowly(root: Path, migrations: Path, told: Connection) -> None:
    """Opens the database, and tells when it is about to and when it has."""
    told.send("begin")
    open_database(root, migrations=migrations).close()
    told.send("done")


def claim_all(root: Path, url: str | None, name: str, told: Connection) -> None:
    """Claims and ends jobs until none is left, and tells their numbers."""
    database = open_database(root, url)
    while True:
        with database.read() as session:
            if not claims.is_due(session):
                return
        with database.write(shared=True) as session:
            claim = claims.claim(session, name)
        if claim is None:  # others hold what is left
            continue
        told.send(claim.job)
        with database.write(project=claim.project) as session:
            claims.finish(session, claim, "t")


def put_and_die(root: Path, file: Path, line: int, told: Connection) -> None:
    """Puts a file among the artifacts and notes it, killed before the `line`th line of that; 0: not at all.

    Tells how many lines there were.
    """
    database = open_database(root)
    artifacts = Artifacts(root)
    lines_seen = _die_at(line)
    artifact = artifacts.put(file)
    with database.write() as session:
        takes.keep_artifacts(session, [artifact], now=0.0)
    sys.settrace(None)
    told.send(lines_seen())


def _die_at(line: int) -> Callable[[], int]:
    """Kills this process before that line; returns what counts the lines there have been."""
    seen = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        nonlocal seen
        if not frame.f_code.co_filename.endswith(
            ("/artifacts.py", "/files.py", "/shutil.py", "/database.py")
        ):
            return None
        if event == "line":
            seen += 1
            if seen == line:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    return lambda: seen
