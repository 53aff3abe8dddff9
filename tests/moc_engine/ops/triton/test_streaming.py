"""Segments of a history that streams through two buffers."""

from __future__ import annotations

import numpy as np
import torch

from moc_engine.ops.triton.streaming import SegmentBuffers
from tests.fakes.kernels import DEVICE, kernel_tests

pytestmark = kernel_tests

OFFSETS = np.array([0, 3, 4, 9, 11, 12])


def test_keys_and_values_stream_in_order_and_are_counted() -> None:
    k, v = (torch.randn(2, 12, 8, generator=torch.Generator().manual_seed(n)) for n in range(2))
    buffers = SegmentBuffers(most_bytes=2 * 2 * 4 * 8 * 4)
    for turn in (1, 2):
        seen = []
        for segment in buffers.stream(k, v, OFFSETS, None, DEVICE):
            assert segment.start == OFFSETS[segment.first]
            tokens = slice(segment.start, int(OFFSETS[segment.last]))
            assert torch.equal(segment.k_RTD.cpu(), k[:, tokens])
            assert torch.equal(segment.v_RTD.cpu(), v[:, tokens])
            assert segment.k_RTD.device.type == DEVICE.type
            seen.append((segment.first, segment.last))
        assert seen == [(0, 2), (2, 3), (3, 5)]
        assert buffers.traffic.bytes == turn * (k.nbytes + v.nbytes)
        assert buffers.traffic.segments == turn * 3
    buffers.release()
    assert [s.first for s in buffers.stream(k, v, OFFSETS, None, DEVICE)] == [0, 2, 3]


def test_an_empty_history_has_no_segments() -> None:
    nothing = torch.empty(2, 0, 8)
    assert list(SegmentBuffers().stream(nothing, nothing, OFFSETS[:1], None, DEVICE)) == []
