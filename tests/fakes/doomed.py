"""What other processes do, most of them to be killed in the midst of it; `PROCESSES` starts them quickly.

Each says through its pipe what it was told is kept.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from types import FrameType
from typing import Any, Final

from studio.domain.edits.shot_inputs import SetCaption
from studio.jobs import claims
from studio.store import artifact_rows, projects
from studio.store.artifact_place import artifacts_at
from studio.store.artifacts import Artifact, Artifacts
from studio.store.upgrade import open_database
from tests.fakes.s3 import CREDENTIALS

PROCESSES: Final = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["pytest", "tests.fakes.doomed", "s3fs"])

_TRACED: Final = (
    "/artifact_cache.py",
    "/artifact_folder.py",
    "/artifact_objects.py",
    "/artifact_rows.py",
    "/database.py",
    "/files.py",
    "/object_store.py",
    "/shutil.py",
)
"""The files whose lines are counted."""


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


def put_and_die(root: Path, place: str | None, file: Path, line: int, told: Connection) -> None:
    """Puts a file among the artifacts and notes it, killed before the `line`th line of that; 0: not at all.

    Tells how many lines there were.
    """
    database = open_database(root)
    artifacts = _artifacts(root, place)
    lines_seen = _die_at(line)
    artifact = artifacts.put(file)
    with database.write() as session:
        artifact_rows.keep(session, artifacts, [artifact], now=0.0)
    sys.settrace(None)
    told.send(lines_seen())


def put_large(root: Path, place: str, file: Path, told: Connection) -> None:
    """Stores a file, and tells that it is stored."""
    artifacts = _artifacts(root, place)
    told.send("begin")
    told.send(artifacts.put(file).digest)


def put_and_note(root: Path, url: str | None, place: str | None, files: list[Path], told: Connection) -> None:
    """Stores and notes files in this order, and tells the digest of each that is noted."""
    database = open_database(root, url)
    artifacts = _artifacts(root, place)
    for file in files:

        def note(stored: list[Artifact]) -> str:
            with database.write() as session:
                artifact_rows.keep(session, artifacts, stored, now=0.0)
            return stored[0].digest

        while True:
            with suppress(artifact_rows.ArtifactGone):  # again and again, where others are set on removing it
                told.send(artifact_rows.stored(artifacts, [file], note))
                break
    told.send(None)


def _artifacts(root: Path, place: str | None) -> Artifacts:
    os.environ.update(CREDENTIALS)  # the server of processes may be older than the environment
    return artifacts_at(root, place)


def _die_at(line: int) -> Callable[[], int]:
    """Kills this process before that line; returns what counts the lines there have been."""
    seen = 0

    def trace(frame: FrameType, event: str, argument: Any) -> Callable[..., Any] | None:
        nonlocal seen
        if not frame.f_code.co_filename.endswith(_TRACED):
            return None
        if event == "line":
            seen += 1
            if seen == line:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    return lambda: seen
