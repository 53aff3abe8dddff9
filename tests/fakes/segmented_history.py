"""Random queries over a history, whole and cut into segments."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from moc_engine.ops.history_segments import HistorySegment, segment_bounds

OFFSETS = np.array([0, 3, 4, 9, 11, 12])
CHUNKS, HEADS, WIDTH, TOKENS = 5, 2, 8, 6


def segmented_case(device: torch.device) -> tuple[Tensor, ...]:
    """q, own k and v of two entries (2, H, L, D), and the history's k and v (H, T, D)."""
    generator = torch.Generator().manual_seed(0)
    q, own_k, own_v = torch.randn(3, 2, HEADS, TOKENS, WIDTH, generator=generator).to(device)
    k, v = torch.randn(2, HEADS, int(OFFSETS[-1]), WIDTH, generator=generator).to(device)
    return q, own_k, own_v, k, v


def chosen_chunks(pinned: tuple[int, ...], device: torch.device) -> Tensor:
    """Two chunks of each query (2, H, L, 2), none pinned; the second of some queries is none."""
    free = [chunk for chunk in range(CHUNKS) if chunk not in pinned]
    generator = torch.Generator().manual_seed(1)
    order = torch.rand(2, HEADS, TOKENS, len(free), generator=generator).argsort(dim=-1)[..., :2]
    indices = torch.tensor(free)[order]
    indices[..., ::2, 1] = -1
    return indices.to(device)


def in_segments(k_HTD: Tensor, v_HTD: Tensor, most_tokens: int) -> Iterator[HistorySegment]:
    """The history in segments, in one buffer that each fills anew."""
    buffer = torch.full((2, *k_HTD.shape), torch.nan, device=k_HTD.device)
    for first, last in segment_bounds(OFFSETS, most_tokens):
        start, stop = int(OFFSETS[first]), int(OFFSETS[last])
        k, v = buffer[:, :, : stop - start].copy_(torch.stack((k_HTD, v_HTD))[:, :, start:stop])
        yield HistorySegment(first=first, last=last, start=start, k_HTD=k, v_HTD=v)
        buffer.fill_(torch.nan)
