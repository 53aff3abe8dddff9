"""Plug-ins that write captions of shots, by entry points of the group `moc_studio.captioners`.

The value of an entry point is called without arguments when it is needed, and returns a `Captioner`. The
engine brings none: a caption that nobody wrote is named as missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import entry_points
from typing import Final, Protocol, runtime_checkable

from moc_engine.clip import Frame
from moc_engine.errors import FootageError

ENTRY_POINTS: Final = "moc_studio.captioners"

FRAMES: Final = 8
"""Frames of a shot that a captioner is shown, evenly spread."""


@runtime_checkable
class Captioner(Protocol):
    """Describes shots."""

    def caption(self, frames: Sequence[Frame]) -> str:
        """The caption of a shot by some of its frames in order; "" where it has none to give."""


def captioner_names() -> tuple[str, ...]:
    """The captioners that are installed."""
    return tuple(sorted(entry_points(group=ENTRY_POINTS).names))


def find_captioner(name: str) -> Captioner:
    """The captioner of a name. Raises `FootageError` where there is none of it, or it is none."""
    for point in entry_points(group=ENTRY_POINTS, name=name):
        found = point.load()()
        if not isinstance(found, Captioner):
            raise FootageError(f"the plug-in {point.value} for {name!r} is no captioner")
        return found
    there = ", ".join(captioner_names())
    raise FootageError(f"no captioner {name!r}" + (f"; there are {there}" if there else " is installed"))
