"""How a history is cut into segments."""

from __future__ import annotations

import numpy as np

from moc_engine.ops.history_segments import segment_bounds

OFFSETS = np.array([0, 3, 4, 9, 11, 12])


def test_segments_hold_whole_chunks_within_the_bound() -> None:
    assert list(segment_bounds(OFFSETS, 4)) == [(0, 2), (2, 3), (3, 5)]
    assert list(segment_bounds(OFFSETS, 1)) == [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)]
    assert list(segment_bounds(OFFSETS, 100)) == [(0, 5)]
    assert list(segment_bounds(OFFSETS[:1], 4)) == []
