"""The backend `triton` over a history in segments equals the reference over it as a whole."""

from __future__ import annotations

import pytest
import torch

from moc_engine.ops.grouped import grouped_attention
from moc_engine.ops.triton.segment_merging import segmented_attention
from tests.fakes.kernels import DEVICE, kernel_tests
from tests.fakes.segmented_history import OFFSETS, chosen_chunks, in_segments, segmented_case

pytestmark = kernel_tests


@pytest.mark.parametrize("pinned", [(), (0, 3)])
@pytest.mark.parametrize("most_tokens", [4, 100])
def test_segments_merge_to_the_whole(pinned: tuple[int, ...], most_tokens: int) -> None:
    q, own_k, own_v, k, v = segmented_case(DEVICE)
    indices = chosen_chunks(pinned, DEVICE)
    out, mass = segmented_attention(
        q, own_k, own_v, in_segments(k, v, most_tokens), OFFSETS, indices, pinned=pinned
    )
    past_k, past_v = (x[None].expand(2, -1, -1, -1) for x in (k, v))
    expected, shares = grouped_attention(q, own_k, own_v, past_k, past_v, OFFSETS, indices, pinned=pinned)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-5)
    for name in ("own", "pinned", "routed"):
        torch.testing.assert_close(getattr(mass, name), getattr(shares, name), rtol=1e-4, atol=1e-5)
