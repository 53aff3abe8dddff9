"""A run that is killed again and again, and one that is not.

Each life of the killed run is a process of its own, forked by `tests.fakes.tuning_forks`. It kills itself
(SIGKILL) at a place that is given: a step, an operation on a file of the run, or a file that grows beyond so
many bytes, in the middle of a write.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Any, Final

from accelerate.tracking import GeneralTracker

from moc_engine.training.options import CHECKPOINT
from moc_engine.training.tuning.start import start
from tests.fakes.tuning_runs import run_plan

LIVES: Final = (
    ("step", 1),
    ("bytes", 9_000),
    ("file", 2),
    ("file", 4),
    ("step", 1),
    ("bytes", 15_000),
    ("file", 9),
    ("step", 1),
    ("file", 10),
    ("file", 5),
)
"""Where each life ends, counted from its own beginning; files are those written at checkpoints."""

STEPS: Final = {"steps": 6}
SAVE: Final = {"save_steps": 2, "evaluation_steps": 3}


class StepCounter(GeneralTracker):  # type: ignore[misc]
    """A tracker that kills this process at a step."""

    name = "counter"
    requires_logging_directory = False

    def __init__(self, last: int | None) -> None:
        super().__init__()
        self._left = last

    @property
    def tracker(self) -> None:
        return None

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        pass

    def log(self, values: dict[str, Any], step: int | None, **kwargs: Any) -> None:
        if self._left is not None and "loss" in values:
            self._left -= 1
            if self._left == 0:
                _die()


def _die(number: int = 0, frame: FrameType | None = None) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _die_at_file(folder: Path, last: int) -> None:
    """Kills this process when so many files of the folder were opened to be written, or renamed."""
    left = [last]

    def see(event: str, args: tuple[Any, ...]) -> None:
        writes = event == "open" and isinstance(args[2], int) and args[2] & (os.O_WRONLY | os.O_RDWR)
        if (writes or event == "os.rename") and str(args[0]).startswith(str(folder)):
            left[0] -= 1
            if left[0] == 0:
                _die()

    sys.addaudithook(see)


def _live(folder: Path, out: Path, end: tuple[str, int] | None) -> None:
    kind, count = end or ("", 0)
    if kind == "file":
        _die_at_file(out, count)
    if kind == "bytes":
        signal.signal(signal.SIGXFSZ, _die)
        resource.setrlimit(resource.RLIMIT_FSIZE, (count, resource.RLIM_INFINITY))
    plan = run_plan(folder, settings=SAVE, **STEPS)
    tracker = StepCounter(count if kind == "step" else None)
    start(plan, out, resume=(out / CHECKPOINT).exists(), tracker=tracker)


def _ended(folder: Path, out: Path, end: tuple[str, int] | None) -> int:
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            _live(folder, out, end)
            code = 0
        except Exception:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def killed_and_unbroken(folder: Path) -> list[int]:
    """What ended the unbroken run, each life of the killed one, and its last; base and cache are there."""
    codes = [_ended(folder, folder / "unbroken", None)]
    codes += [_ended(folder, folder / "killed", end) for end in LIVES]
    codes.append(_ended(folder, folder / "killed", None))
    return codes
