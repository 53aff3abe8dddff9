"""Frames are written in order by another thread, and what fails there is told."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest

from moc_engine.clip import Frame
from moc_engine.render.frame_encoding import MOST_WAITING, FrameEncoding


class Writer:
    """Remembers the frames it is given, after `before`."""

    def __init__(self, before: Callable[[], object] = lambda: None) -> None:
        self.written: list[int] = []
        self.threads: set[int] = set()
        self._before = before

    def write(self, frame: Frame) -> None:
        self._before()
        self.threads.add(threading.get_ident())
        self.written.append(int(frame[0, 0, 0]))


def frame(number: int) -> Frame:
    return np.full((2, 2, 3), number, dtype=np.uint8)


def test_frames_are_written_in_order_by_another_thread() -> None:
    writer = Writer()
    with FrameEncoding(writer) as encoding:
        for number in range(50):
            encoding.add(frame(number))
    assert writer.written == list(range(50))
    assert writer.threads.isdisjoint({threading.get_ident()})


def test_no_more_than_a_few_frames_wait() -> None:
    gate = threading.Event()
    writer = Writer(gate.wait)
    added: list[int] = []

    def add() -> None:
        with FrameEncoding(writer) as encoding:
            for number in range(20):
                encoding.add(frame(number))
                added.append(number)

    adding = threading.Thread(target=add, daemon=True)
    adding.start()
    adding.join(0.2)
    assert len(added) <= MOST_WAITING + 1  # and the one that is being written
    gate.set()
    adding.join(5.0)
    assert writer.written == list(range(20))


def failing() -> None:
    raise OSError("no space left")


def test_what_the_writer_raises_ends_the_block() -> None:
    with pytest.raises(OSError, match="no space left"), FrameEncoding(Writer(failing)) as encoding:
        for number in range(100):
            encoding.add(frame(number))
    with pytest.raises(OSError, match="no space left"), FrameEncoding(Writer(failing)) as encoding:
        encoding.add(frame(0))


def test_a_block_that_fails_drops_what_waits() -> None:
    gate = threading.Event()
    writer = Writer(gate.wait)
    failed = pytest.raises(KeyError)
    with failed, FrameEncoding(writer) as encoding:
        for number in range(MOST_WAITING):
            encoding.add(frame(number))
        threading.Timer(0.1, gate.set).start()
        raise KeyError
    assert writer.written in ([], [0])
