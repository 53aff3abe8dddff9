"""Encodes the frames of a clip in a thread of its own, so that the next ones are made meanwhile.

frames of a family ─► queue of at most `MOST_WAITING` ─► thread ─► ClipWriter
"""

from __future__ import annotations

from queue import Queue
from threading import Thread
from types import TracebackType
from typing import Final, Protocol, Self

from moc_engine.clip import Frame

MOST_WAITING: Final = 3
"""Frames that wait to be encoded; one of 4K has 25 MB."""


class WritesFrames(Protocol):
    """What takes frames one by one, such as a `ClipWriter`."""

    def write(self, frame: Frame) -> None: ...


class FrameEncoding:
    """Writes frames in the order they are added; they must not change afterwards.

    A context manager, whose end waits until all are written. What the writer raises, the next `add` or the
    end of the block raises. A block that fails does not write the frames that still wait.
    """

    def __init__(self, writer: WritesFrames) -> None:
        self._writer = writer
        self._waiting: Queue[Frame | None] = Queue(MOST_WAITING)
        self._error: BaseException | None = None
        self._dropped = False
        self._thread = Thread(target=self._work, name="encode", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def add(self, frame: Frame) -> None:
        """Adds a frame; waits while as many as may are waiting."""
        if self._error is not None:
            raise self._error
        self._waiting.put(frame)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._dropped = kind is not None
        self._waiting.put(None)
        self._thread.join()
        if kind is None and self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (frame := self._waiting.get()) is not None:
            if self._dropped or self._error is not None:
                continue  # so that nobody waits for room
            try:
                self._writer.write(frame)
            except BaseException as error:
                self._error = error
