"""Routers by position alone: a sliding window over the latest shots, and a density that falls with their age.

    window    the latest shots; within a shot the chunks beside the query's own
    radial    half as many chunks with every shot back (Radial Attention, arXiv 2506.19852)

Where chunks are frames, the later ones of a shot are the nearer ones.

Shapes: L queries, C history chunks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from moc_engine.ops.choosing import choose_chunks
from moc_engine.ops.layout import ChunkLayout
from moc_engine.ops.routers.router import Choice, RouterEntry, RoutingRequest, StatelessRouter

Scores = Callable[[ChunkLayout, int, Tensor | None], Tensor]


def window_scores(layout: ChunkLayout, shot: int, own_chunk_L: Tensor | None) -> Tensor:
    """(L or 1, C): higher for later shots before `shot`, and in each for chunks near the query's own.

    `own_chunk_L` is the number of each query's chunk in its shot; None where chunks are frames.
    """
    back_C, beside = _distances(layout, shot, own_chunk_L)
    most = int(np.unique(layout.shot, return_counts=True)[1].max(initial=0))
    return -(back_C * (most + 1.0) + beside)


def radial_scores(layout: ChunkLayout, shot: int, own_chunk_L: Tensor | None) -> Tensor:
    """(L or 1, C): fewer chunks around the query's own the older the shot, half as many per shot."""
    back_C, beside = _distances(layout, shot, own_chunk_L)
    return -((beside + 1.0) * 2.0 ** (back_C - 1.0)).log2()


def _distances(layout: ChunkLayout, shot: int, own_chunk_L: Tensor | None) -> tuple[Tensor, Tensor]:
    """How many shots back each chunk is (C), and how many chunks away from the query's own (L or 1, C).

    For chunks that are frames: how many frames before the last one of its shot.
    """
    back = torch.from_numpy(shot - layout.shot).float()
    first = np.searchsorted(layout.shot, layout.shot)
    if own_chunk_L is None:
        last = np.searchsorted(layout.shot, layout.shot, side="right") - 1
        return back, torch.from_numpy(last - np.arange(layout.chunks)).float()[None]
    within = torch.from_numpy(np.arange(layout.chunks) - first)
    return back, (within[None] - own_chunk_L.cpu()[:, None]).abs().float()


@dataclass(frozen=True)
class _ByPosition:
    scores: Scores

    def __call__(self, request: RoutingRequest) -> Choice:
        beside = request.own_chunk_L if request.routing.chunking == "track" else None
        scores = self.scores(request.layout, request.shot, beside).to(request.q_BHLD.device)
        return Choice(
            indices_BHLK=choose_chunks(
                scores.expand(*request.q_BHLD.shape[:3], -1),
                request.candidates_BC[:, None, None],
                request.routing,
                layout=request.layout,
            )
        )


WINDOW = RouterEntry(
    name="window",
    title="latest shots",
    source="a sliding window over the latest shots",
    make=lambda generators: StatelessRouter(_ByPosition(window_scores)),
)
RADIAL = RouterEntry(
    name="radial",
    title="radial",
    source="Radial Attention, arXiv 2506.19852: density halves with every shot back",
    make=lambda generators: StatelessRouter(_ByPosition(radial_scores)),
)
