"""A video model during training: whole stories in one call, each copy of a shot a row of the batch.

    clean copies ─► attend to their own shot ─────────────────► memories
    noisy copies ─► own shot + chosen chunks of earlier memories ─► velocity

Shapes: B stories, N shots, of which M are noisy and P become memories; S text states, E their width; R rows,
B · P clean and then B · M noisy; latents (…, C, F, H, W).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import accumulate
from typing import Any, Final

import torch
from torch import Tensor, nn

from moc_engine.config import Chunking, MemoryConfig
from moc_engine.memory.grid import TokenGrid
from moc_engine.models.base import AttentionPass, CaptionStates, ShotCondition
from moc_engine.models.wan_adapter import WanAdapter
from moc_engine.training.attention import differentiable_attention
from moc_engine.training.story_attention import StoryAttention, story_angles
from moc_engine.training.story_rules import StoryRules
from moc_engine.training.tuning.batch import TuningBatch
from moc_engine.training.tuning.draws import TuningDraw
from moc_engine.training.tuning.recomputing import recomputed_blocks
from moc_engine.training.tuning.remembered import remembered
from moc_engine.training.tuning.shotwise_attention import ShotwiseAttention

TRAINED_TIMESTEPS: Final = 1000
"""The timestep of pure noise, as Wan's transformers and the embedded one were trained."""

FEW_TOKENS: Final = 1024
"""Shots of at most so many tokens are attended to in one call for all stories, longer ones shot by shot.

On a CPU one call is up to three times as fast for 50 tokens, and no faster from 500 to 1300 on."""


class TuningDenoiser(nn.Module):
    """Predicts the velocity of noisy shots, which attend to clean copies of earlier shots.

    `transformer` is a `WanTransformer3DModel`, with adapters of PEFT or without. With `checkpointing` its
    blocks are computed again in the backward pass. `memory` says what is remembered of shots, as it does of
    takes in a render. Runs under autocast or without.
    """

    def __init__(
        self, transformer: Any, *, checkpointing: bool = False, memory: MemoryConfig | None = None
    ) -> None:
        super().__init__()
        self.memory = memory or MemoryConfig()
        self.transformer = transformer
        self.checkpointing = checkpointing

    def forward(self, batch: TuningBatch, draw: TuningDraw, rules: StoryRules) -> Tensor:
        """The predicted velocities (B, M, C, F, H, W) of the shots that the draw has noisy, in float32.

        Behind the end of a shorter shot they mean nothing. Raises `ValueError` for latents that the patches
        of the model do not divide.
        """
        clean, noisy = (x.flatten(0, 1) for x in (draw.clean(batch.latents), draw.noisy(batch.latents)))
        timesteps = torch.cat((draw.memory_level.flatten(), draw.level.flatten())) * TRAINED_TIMESTEPS
        adapter, captions = WanAdapter(self.transformer), _captions(batch, draw)
        attention = self._attention(adapter, batch, draw, rules)
        condition = ShotCondition()
        recomputed = self.checkpointing and torch.is_grad_enabled()
        with (
            _unfused_norms(),
            differentiable_attention(noisy.device),
            adapter.attending(attention, captions, condition),
            recomputed_blocks(self.transformer) if recomputed else nullcontext(),
        ):
            out = adapter.run(torch.cat((clean, noisy)), timesteps, captions, condition)
        return out[len(clean) :].float().view_as(draw.noise)

    def _attention(
        self, adapter: WanAdapter, batch: TuningBatch, draw: TuningDraw, rules: StoryRules
    ) -> AttentionPass:
        """Attention for all stories at once where their shots are short and equally long."""
        chunking: Chunking = "frame" if rules.routing is None else rules.routing.chunking
        sides, patch = batch.latents.shape[-2:], adapter.patch
        lengths = {frames for story in batch.frames for frames in story}
        if any(side % of for side, of in zip(sides, patch[1:], strict=True)) or any(
            frames % patch[0] for frames in lengths
        ):
            raise ValueError(f"latents: {sorted(lengths)} frames of {tuple(sides)} are no patches of {patch}")
        height, width = (side // of for side, of in zip(sides, patch[1:], strict=True))
        grids = [
            [
                TokenGrid(frames=frames // patch[0], height=height, width=width, chunking=chunking)
                for frames in story
            ]
            for story in batch.frames
        ]
        angles = [self._angles(story, batch, draw) for story in grids]
        if len(lengths) == 1 and grids[0][0].tokens <= FEW_TOKENS and self.memory.policy == "all":
            return StoryAttention(
                slots=height * width,
                rules=rules.to(batch.latents.device),
                angles=angles[0],
                denoised=draw.denoised,
            )
        return ShotwiseAttention(
            grids=grids,
            rules=rules,
            angles=angles,
            denoised=draw.denoised,
            kept=remembered(self.memory, batch, grids, shots=draw.memories),
        )

    def _angles(self, story: list[TokenGrid], batch: TuningBatch, draw: TuningDraw) -> tuple[Tensor, Tensor]:
        """Cosines and sines of as many tokens as the longest shot has, from the start of each shot on."""
        patch = self.transformer.config.patch_size[0]
        before = [0, *(grid.frames for grid in story)][:-1]
        gaps = draw.gaps or (0,) * len(story)
        starts = list(accumulate(a + b // patch for a, b in zip(before, gaps, strict=True)))
        longest = batch.latents.shape[3] // patch
        return story_angles(
            self.transformer,
            starts=torch.tensor(starts).to(batch.latents.device),
            frames=longest,
            height=story[0].height,
            width=story[0].width,
        )


@contextmanager
def _unfused_norms() -> Iterator[None]:
    """Torch warns that the norms of queries and keys, in float32 under autocast, have no fused kernel."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Mismatch dtype between input and weight")
        yield


def _captions(batch: TuningBatch, draw: TuningDraw) -> CaptionStates:
    """The caption states of all rows; memories are always read with their own captions."""
    without = draw.without_caption
    states = batch.states[:, list(draw.denoised)]
    states = torch.where(without[..., None, None], batch.empty_states, states)
    rows = torch.cat((batch.states[:, : draw.memories].flatten(0, 1), states.flatten(0, 1)))
    if batch.mask is None:
        return CaptionStates(states_BSE=rows)
    assert batch.empty_mask is not None
    mask = torch.where(without[..., None], batch.empty_mask, batch.mask[:, list(draw.denoised)])
    mask = torch.cat((batch.mask[:, : draw.memories].flatten(0, 1), mask.flatten(0, 1)))
    return CaptionStates(states_BSE=rows, mask_BS=mask)
