"""Keeps the host close to a GPU, which works on what it was given while the host goes on.

Without it, captured steps would all be queued at once: progress and time left would be those of the queueing,
and a cancelled render would go on to its end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import torch


class Event(Protocol):
    """A point in the work of a device, as `torch.cuda.Event`."""

    def record(self) -> None:
        """Stands behind all work that the device was given so far."""

    def synchronize(self) -> None:
        """Waits until the device has come here."""


def cuda_event() -> Event:
    """An event on the current CUDA device."""
    event: Event = torch.cuda.Event()
    return event


class StepsInFlight:
    """Lets the device have at most one step that is not finished when the next one is given to it."""

    def __init__(self, make_event: Callable[[], Event]) -> None:
        self._make_event = make_event
        self._before: Event | None = None

    def step_given(self) -> None:
        """Call this after each step: waits for the step before it."""
        event = self._make_event()
        event.record()
        if self._before is not None:
            self._before.synchronize()
        self._before = event
