"""Which processes are running, on every operating system. No torch."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import psutil


@dataclass(frozen=True, kw_only=True)
class ProcessMark:
    """A process by its id and the time it started (seconds since 1970), as ids are given again."""

    pid: int
    started: float

    def is_running(self) -> bool:
        """Whether this very process is still there; one that ended but was not waited for is not."""
        return is_running(self.pid, self.started)


def mark(pid: int | None = None) -> ProcessMark:
    """The mark of a process, this one where None. Raises `ProcessLookupError` where it is gone."""
    try:
        process = psutil.Process(pid)
        return ProcessMark(pid=process.pid, started=process.create_time())
    except (psutil.NoSuchProcess, ValueError, OverflowError) as error:
        raise ProcessLookupError(f"there is no process {pid}") from error


def is_running(pid: int, started: float | None = None) -> bool:
    """Whether a process of this id is there; with `started`, whether it is the one that started then."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return started is None or abs(process.create_time() - started) < _SAME_START
    except psutil.AccessDenied:  # another user's: it is there
        return True
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False


def parents() -> list[int]:
    """The processes that this one was started by: its parent, the parent of that, and so on."""
    return [process.pid for process in psutil.Process().parents()]


def kill_with_children(process: subprocess.Popen[bytes]) -> None:
    """Kills a child process of this one and all processes that it started, and waits for its end."""
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        children = []
    process.kill()
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    process.wait()


_SAME_START: Final = 5.0
"""Seconds by which two readings of one start may differ: the system derives it from its clock."""
