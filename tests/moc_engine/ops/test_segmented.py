"""Attention over a history in segments equals attention over it as a whole."""

from __future__ import annotations

import pytest
import torch

from moc_engine.ops.grouped import grouped_attention
from moc_engine.ops.segmented import segmented_attention
from tests.fakes.segmented_history import OFFSETS, chosen_chunks, in_segments, segmented_case

CPU = torch.device("cpu")


@pytest.mark.parametrize("pinned", [(), (1,), (0, 3, 4)])
@pytest.mark.parametrize("most_tokens", [1, 4, 100])
def test_segments_merge_to_the_whole(pinned: tuple[int, ...], most_tokens: int) -> None:
    q, own_k, own_v, k, v = segmented_case(CPU)
    indices = chosen_chunks(pinned, CPU)
    out, mass = segmented_attention(
        q, own_k, own_v, in_segments(k, v, most_tokens), OFFSETS, indices, pinned=pinned
    )
    expected, shares = grouped_attention(
        q, own_k, own_v, k[None].expand(2, -1, -1, -1), v[None].expand(2, -1, -1, -1), OFFSETS, indices,
        pinned=pinned,
    )  # fmt: skip
    torch.testing.assert_close(out, expected)
    for name in ("own", "pinned", "routed"):
        torch.testing.assert_close(getattr(mass, name), getattr(shares, name))
    total = mass.own.sum(-1) + mass.pinned.sum(-1) + mass.routed.sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_queries_that_choose_nothing_attend_to_their_own_shot() -> None:
    q, own_k, own_v, k, v = segmented_case(CPU)
    nothing = torch.empty(*q.shape[:3], 0, dtype=torch.int64)
    out, mass = segmented_attention(q, own_k, own_v, in_segments(k, v, 4), OFFSETS, nothing)
    torch.testing.assert_close(out, torch.nn.functional.scaled_dot_product_attention(q, own_k, own_v))
    assert mass.pinned.shape[-1] == mass.routed.shape[-1] == 0
