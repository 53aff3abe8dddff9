"""A selection: which chunks every query attends to.

Shapes: B batch, H heads, L queries, T tokens of the layout, C chunks, K chosen chunks.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from moc_engine.ops.layout import Bools, ChunkLayout


@dataclass(frozen=True, kw_only=True, eq=False)
class QueryGroup:
    """The queries start:stop of a selection: tokens of one shot, with the same mandatory chunks.

    `own`, `captions` and `pinned` say which chunks [C] are the shot's own (its captions included),
    captions it attends to besides, and pinned ones. `full` are its candidates where it attends to all of
    them and routes nothing, else None.
    """

    shot: int
    start: int
    stop: int
    own: Bools
    captions: Bools
    pinned: Bools
    full: Bools | None = None

    @property
    def mandatory(self) -> Bools:
        mandatory = self.own | self.captions | self.pinned
        return mandatory if self.full is None else mandatory | self.full


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What every query attends to: routed `indices` (B, H, L, K) and mandatory chunks by group.

    Indices are chunks of the `layout` it was made for, best first, then -1 where there were fewer candidates.
    K is `top_k` or more, and 0 where no group routes.
    """

    indices: Tensor
    groups: tuple[QueryGroup, ...]
    layout: ChunkLayout

    def mask(self, layout: ChunkLayout | None = None) -> Tensor:
        """The attended pairs, bool (B, H, L, T). Writes the whole matrix: for checking only.

        Raises `ValueError` where `layout` is given and is not the one that was routed over.
        """
        if layout is not None and layout != self.layout:
            raise ValueError("layout: the selection was made for another layout")
        chosen = self.chunk_mask()
        return chosen[..., torch.tensor(self.layout.token_chunk).to(chosen.device)]

    def chunk_mask(self) -> Tensor:
        """The attended chunks, bool (B, H, L, C)."""
        chosen = mask_of(self.indices, self.layout.chunks)
        for group in self.groups:
            mandatory = torch.tensor(group.mandatory).to(chosen.device)
            chosen[:, :, group.start : group.stop] |= mandatory
        return chosen


def mask_of(indices: Tensor, count: int) -> Tensor:
    """Bool (..., count): which numbers below `count` stand among the indices (..., K), where -1 is none."""
    mask = torch.zeros(*indices.shape[:-1], count + 1, dtype=torch.bool, device=indices.device)
    mask.scatter_(-1, indices.where(indices >= 0, count), True)
    return mask[..., :-1]
