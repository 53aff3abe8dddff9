"""What is remembered of the shots of a batch, by the memory policies of renders."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from moc_engine.config import MemoryConfig
from moc_engine.memory.grid import TokenGrid
from moc_engine.memory.policies import FinishedTake, kept_tokens
from moc_engine.memory.take_memory import Kept
from moc_engine.training.tuning.batch import TuningBatch


def remembered(
    memory: MemoryConfig, batch: TuningBatch, grids: Sequence[Sequence[TokenGrid]], *, shots: int
) -> list[list[Kept | None]] | None:
    """The remembered tokens of each shot, of the first `shots` of each story; None: of all shots all.

    They are chosen from the latents without noise, as of finished takes.
    """
    if memory.policy == "all":
        return None
    latents = batch.latents[:, :shots].float().cpu()
    return [
        [
            _kept(memory, latents[story, shot, :, : batch.frames[story][shot]], grid)
            if shot < shots
            else None
            for shot, grid in enumerate(of_story)
        ]
        for story, of_story in enumerate(grids)
    ]


def _kept(memory: MemoryConfig, latents_CFHW: Tensor, grid: TokenGrid) -> Kept:
    extent = grid.extent
    take = FinishedTake(
        latents=latents_CFHW.numpy(),
        frames=grid.frames,
        token_frame=grid.positions_3T[0].numpy(),
        token_chunk=np.repeat(np.arange(extent.chunks), np.diff(extent.offsets)),
        names=(),
        cast=(),
    )
    return Kept.of_tokens(kept_tokens(memory.policy, take, memory.keyframes), extent)
