"""Turns SIGINT and SIGTERM into a cancel event."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def cancelled_by_signals() -> Iterator[threading.Event]:
    """Yields an event that SIGINT (Ctrl-C) or SIGTERM sets; a second signal raises `KeyboardInterrupt`."""
    cancel = threading.Event()

    def set_it(number: int, frame: object) -> None:
        if cancel.is_set():
            raise KeyboardInterrupt
        cancel.set()

    before = {number: signal.signal(number, set_it) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield cancel
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
