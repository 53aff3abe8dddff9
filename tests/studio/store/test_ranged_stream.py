"""Streams that are read by ranges."""

from __future__ import annotations

import io
import os
import random

import pytest

from studio.store.ranged_stream import FIRST_BYTES, MOST_BYTES, RangedStream

CONTENT = os.urandom(3 * 2**20 + 7)


class Source:
    """Gives ranges, and notes them."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.asked: list[tuple[int, int]] = []

    def __call__(self, first: int, end: int) -> bytes:
        assert 0 <= first < end <= len(self.content)
        self.asked.append((first, end))
        return self.content[first:end]

    def stream(self) -> io.BufferedReader:
        return io.BufferedReader(RangedStream(self, len(self.content)))


def test_any_reading_gives_the_content() -> None:
    draw, source = random.Random(0), Source()
    with source.stream() as stream, io.BytesIO(CONTENT) as expected:
        for _ in range(300):
            if draw.random() < 0.3:
                at, whence = draw.choice(
                    [(draw.randrange(len(CONTENT)), 0), (-draw.randrange(9999), 2), (99, 1)]
                )
                assert stream.seek(at, whence) == expected.seek(at, whence)
            size = draw.choice([0, 1, 100, 70_000, 500_000])
            assert stream.read(size) == expected.read(size)
            assert stream.tell() == expected.tell()
        assert stream.read() == expected.read()
        assert stream.read(10) == b""


def test_reading_in_order_asks_for_more_and_more() -> None:
    source = Source()
    with source.stream() as stream:
        while stream.read(65_536):
            pass
    sizes = [end - first for first, end in source.asked]
    assert sizes[:3] == [FIRST_BYTES, 2 * FIRST_BYTES, 4 * FIRST_BYTES]
    assert max(sizes) <= MOST_BYTES
    assert sum(sizes) == len(CONTENT)


def test_a_little_in_the_middle_costs_little() -> None:
    source = Source()
    with source.stream() as stream:
        stream.seek(2_000_000)
        assert stream.read(10) == CONTENT[2_000_000:2_000_010]
    assert source.asked == [(2_000_000, 2_000_000 + FIRST_BYTES)]


def test_all_that_is_left_is_one_read() -> None:
    source = Source()
    with source.stream() as stream:
        assert stream.read() == CONTENT
    assert source.asked == [(0, len(CONTENT))]


def test_an_empty_source_is_never_asked() -> None:
    source = Source(b"")
    with source.stream() as stream:
        assert stream.read() == b""
        assert stream.read(1) == b""
    assert source.asked == []


def test_there_is_nothing_before_the_start() -> None:
    with Source().stream() as stream, pytest.raises(ValueError, match="no position"):
        stream.seek(-5)
