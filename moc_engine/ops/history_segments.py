"""A history that comes in segments, as it is brought onto the device: runs of adjacent chunks.

Shapes: H heads, T tokens of a segment, C chunks, D head width.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from moc_engine.ops.layout import Ints


@dataclass(frozen=True, kw_only=True, eq=False)
class HistorySegment:
    """Keys, rotated, and values (H, T, D) of the chunks first:last, from the history's token `start` on."""

    first: int
    last: int
    start: int
    k_HTD: Tensor
    v_HTD: Tensor


def segment_bounds(offsets: Ints, most_tokens: int) -> Iterator[tuple[int, int]]:
    """Runs first:last of chunks with at most `most_tokens` tokens, or of one chunk that is longer."""
    first = 0
    chunks = len(offsets) - 1
    for chunk in range(chunks):
        if chunk > first and offsets[chunk + 1] - offsets[first] > most_tokens:
            yield first, chunk
            first = chunk
    if first < chunks:
        yield first, chunks
