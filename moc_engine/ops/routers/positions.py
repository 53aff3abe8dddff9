"""Routers by position alone: a sliding window over the latest shots, and a density that falls with their age.

    window    the latest shots; within a shot the chunks beside the query's own
    radial    half as many chunks with every shot back (Radial Attention, arXiv 2506.19852)

Where chunks are frames, the later ones of a shot are the nearer ones.

Shapes: L queries, C history chunks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from moc_engine.ops.choosing import choose_chunks
from moc_engine.ops.layout import ChunkLayout
from moc_engine.ops.routers.router import Choice, RouterEntry, RoutingRequest, StatelessRouter

Device = torch.device | None
Scores = Callable[[ChunkLayout, int, Tensor | None, Device], Tensor]


def window_scores(
    layout: ChunkLayout, shot: int, own_chunk_L: Tensor | None, device: Device = None
) -> Tensor:
    """(L or 1, C): higher for later shots before `shot`, and in each for chunks near the query's own.

    `own_chunk_L` is the number of each query's chunk in its shot; None where chunks are frames. The scores
    are on its device, or on `device`.
    """
    back_C, beside = _distances(layout, shot, own_chunk_L, device)
    most = int(np.unique(layout.shot, return_counts=True)[1].max(initial=0))
    return -(back_C * (most + 1.0) + beside)


def radial_scores(
    layout: ChunkLayout, shot: int, own_chunk_L: Tensor | None, device: Device = None
) -> Tensor:
    """(L or 1, C): fewer chunks around the query's own the older the shot, half as many per shot."""
    back_C, beside = _distances(layout, shot, own_chunk_L, device)
    return -((beside + 1.0) * 2.0 ** (back_C - 1.0)).log2()


def _distances(
    layout: ChunkLayout, shot: int, own_chunk_L: Tensor | None, device: Device
) -> tuple[Tensor, Tensor]:
    """How many shots back each chunk is (C), and how many chunks away from the query's own (L or 1, C).

    For chunks that are frames: how many frames before the last one of its shot.
    """
    if own_chunk_L is None:
        shot_C, _, after_C = _places(layout.shot.tobytes(), torch.device(device or "cpu"))
        return shot - shot_C, after_C[None]
    shot_C, within_C, _ = _places(layout.shot.tobytes(), own_chunk_L.device)
    return shot - shot_C, (within_C[None] - own_chunk_L[:, None]).abs()


@lru_cache(maxsize=64)
def _places(shot: bytes, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The shot of each chunk (C), and how many chunks of it stand before and behind it.

    Of the array of a layout; copied to the device once.
    """
    shots = np.frombuffer(shot, dtype=np.int64)
    chunk = np.arange(len(shots))
    before = chunk - np.searchsorted(shots, shots)
    behind = np.searchsorted(shots, shots, side="right") - 1 - chunk
    shot_C, before_C, behind_C = (torch.tensor(part).float().to(device) for part in (shots, before, behind))
    return shot_C, before_C, behind_C


@dataclass(frozen=True)
class _ByPosition:
    """Chooses alike in all layers, heads and steps, so it does so for one head."""

    scores: Scores

    def __call__(self, request: RoutingRequest) -> Choice:
        beside = request.own_chunk_L if request.routing.chunking == "track" else None
        B, H, L, _ = request.q_BHLD.shape
        scores_LC = self.scores(request.layout, request.shot, beside, request.q_BHLD.device)
        candidates = request.candidates_BC[:, None, None]
        chosen = choose_chunks(
            scores_LC.expand(len(candidates), 1, -1, -1), candidates, request.routing, layout=request.layout
        )
        return Choice(indices_BHLK=chosen.expand(B, H, L, -1).contiguous())


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
