"""How a worker knows the process that started it, which may end before the worker can ask."""

from __future__ import annotations

import os
from typing import Final

from moc_engine.processes import ProcessMark, mark

_VARIABLE: Final = "MOC_STUDIO_PARENT"


def child_environment() -> dict[str, str]:
    """This process's environment for a worker that is to end with it."""
    this = mark()
    return {**os.environ, _VARIABLE: f"{this.pid}:{this.started}"}


def parent() -> ProcessMark | None:
    """The process that started this one; None where it did not say so."""
    if _VARIABLE not in os.environ:
        return None
    pid, _, started = os.environ[_VARIABLE].partition(":")
    return ProcessMark(pid=int(pid), started=float(started))
