"""A loaded model: a transformer by its adapter, its scheduler, and the family that knows its latents.

A model of two experts has one transformer for high noise levels and another for low ones (Wan 2.2 A14B).

Shapes: B batch, C channels, F latent frames, H and W latent sides; latents of one shot are (C, F, H, W).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from moc_engine.config import Chunking, SamplerConfig
from moc_engine.errors import EngineError
from moc_engine.memory.grid import TokenGrid
from moc_engine.models.base import AttentionPass, CaptionStates, Family, ShotCondition, TakesPictures
from moc_engine.models.compiled_blocks import CompiledBlocks
from moc_engine.models.lora import LoraAdapters
from moc_engine.models.schedulers import chosen_scheduler
from moc_engine.models.sequence_split import AttentionByHeads, split_sequence
from moc_engine.models.solver import Schedule, even_levels, schedule_of
from moc_engine.models.transformer_adapter import TransformerAdapter
from moc_engine.ops.head_split import HeadSplit
from moc_engine.profiles import SHARED, Profile

ExpertName = Literal["", "high", "low"]
"""The noise levels that a transformer is for; "" for one that denoises throughout."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Backbone:
    """A loaded model; `name` is written into traces. `velocity` runs compiled blocks where there are any.

    With `low_noise`, a model of two experts: this one denoises at noise levels (0–1) of `boundary` or more,
    and `low_noise`, a backbone of its own for the same latents, below. A model may ship one of the two alone,
    which then denoises throughout; guidance still changes at the boundary. A render asks the model at noise
    levels evenly from 1 on, which the scheduler shifts; with `own_levels` at those that the scheduler sets.
    `latent_space` tells latents apart that are not of one autoencoder; "" where that is not known. `profile`
    says how the model was fitted to the device, `profile_note` why it is not the one that was asked for.
    With a `split`, several processes run the transformer together, each on its part of the tokens: passes get
    all tokens of the heads of this process.
    """

    name: str
    adapter: TransformerAdapter
    scheduler: Any
    family: Family
    device: torch.device
    compiled: CompiledBlocks | None = None
    expert: ExpertName = ""
    boundary: float = 0.0
    low_noise: Backbone | None = None
    own_levels: bool = False
    latent_space: str = ""
    loras: LoraAdapters | None = None
    profile: Profile = SHARED
    profile_note: str = ""
    split: HeadSplit | None = None

    @property
    def transformer(self) -> Any:
        """The transformer itself, of diffusers."""
        return self.adapter.transformer

    @property
    def experts(self) -> tuple[Backbone, ...]:
        """The backbone of each transformer, the one for high noise first."""
        return (self,) if self.low_noise is None else (self, self.low_noise)

    def at(self, level: float) -> Backbone:
        """The expert that denoises at a noise level (0–1)."""
        return self if self.low_noise is None or level >= self.boundary else self.low_noise

    def experts_of(self, schedule: Schedule) -> tuple[Backbone, ...]:
        """The experts that denoise at any step of a schedule."""
        named = {self.at(step.level).expert for step in schedule.steps}
        return tuple(expert for expert in self.experts if expert.expert in named)

    @cached_property
    def parameters(self) -> int:
        """The number of parameters of all transformers."""
        return sum(weight.numel() for expert in self.experts for weight in expert.transformer.parameters())

    def with_compiled_blocks(self) -> Backbone:
        """The same model, whose transformers' blocks are compiled when they first run."""
        low_noise = None if self.low_noise is None else self.low_noise.with_compiled_blocks()
        return replace(self, compiled=CompiledBlocks(self.adapter.blocks), low_noise=low_noise)

    def split_by(self, split: HeadSplit | None) -> Backbone:
        """The same model, run together with the other processes of a split; alone where None."""
        low_noise = None if self.low_noise is None else self.low_noise.split_by(split)
        return replace(self, split=split, low_noise=low_noise)

    @property
    def own_heads(self) -> int:
        """How many heads of each layer this process attends with."""
        heads = self.adapter.heads
        return heads if self.split is None else len(self.split.own(heads))

    def schedule(self, sampler: SamplerConfig, start: int = 0) -> Schedule:
        """The steps of a render from step `start` on; `EngineError` for a scheduler of another kind."""
        scheduler = chosen_scheduler(self.scheduler, sampler)
        levels = None if self.own_levels else even_levels
        return schedule_of(scheduler, sampler.steps, levels=levels, start=start)

    @cached_property
    def dtype(self) -> torch.dtype:
        """The dtype of the transformer's weights, but for those that stay in float32."""
        dtype: torch.dtype = self.transformer.dtype
        return dtype

    @property
    def dtype_name(self) -> str:
        """What takes are recorded with: the dtype, and the form of the weights where that is another."""
        name = str(self.dtype).removeprefix("torch.")
        return name if self.profile.weights == "full" else f"{name}, weights {self.profile.weights}"

    def grid(self, latent_shape: Sequence[int], chunking: Chunking) -> TokenGrid:
        """The tokens of a shot with latents (C, F, H, W)."""
        sides = zip(latent_shape[1:], self.adapter.patch, strict=True)
        frames, height, width = (side // patch for side, patch in sides)
        return TokenGrid(frames=frames, height=height, width=width, chunking=chunking)

    def angles(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Rotary cosines and sines of token positions (3, …) in time, height and width."""
        return self.adapter.angles(positions)

    def condition_of(self, latents_CFHW: Tensor) -> ShotCondition | None:
        """The condition of a finished take that is read again: None unless the model always needs one."""
        family = self.family
        own = family.own_condition(latents_CFHW) if isinstance(family, TakesPictures) else None
        return None if own is None else own.to(self.device)

    def predict(
        self,
        latents_BCFHW: Tensor,
        timesteps_B: Tensor,
        attention: AttentionPass,
        captions: CaptionStates,
        condition: ShotCondition | None = None,
    ) -> Tensor:
        """The transformer's output in one pass, in the dtype of the latents."""
        given = condition or ShotCondition()
        with self._split_run(latents_BCFHW), self._attending(attention, captions, given, latents_BCFHW):
            return self._run(latents_BCFHW, timesteps_B, captions, given)

    def velocity(
        self,
        latents_BCFHW: Tensor,
        timesteps_B: Tensor,
        attention: AttentionPass,
        captions: CaptionStates,
        condition: ShotCondition | None = None,
    ) -> Tensor:
        """The flow ε - x0 at noisy latents."""
        if self.compiled is None:
            predicted = self.predict(latents_BCFHW, timesteps_B, attention, captions, condition)
        else:
            given = condition or ShotCondition()
            assert self.split is None, "options of renders are checked"
            attending = self.adapter.attending(attention, captions, given, compiled=True)
            with self.compiled.used(), attending:
                predicted = self._run(latents_BCFHW, timesteps_B, captions, given)
        level = timesteps_B / self.scheduler.config.num_train_timesteps
        return self.family.velocity(predicted, latents_BCFHW, level.view(-1, 1, 1, 1, 1))

    def _attending(
        self,
        attention: AttentionPass,
        captions: CaptionStates,
        condition: ShotCondition,
        latents_BCFHW: Tensor,
    ) -> AbstractContextManager[None]:
        if self.split is not None:
            attention = AttentionByHeads(attention, self.split, self._tokens(latents_BCFHW))
        return self.adapter.attending(attention, captions, condition)

    def _split_run(self, latents_BCFHW: Tensor) -> AbstractContextManager[None]:
        """Within it the transformer runs on the tokens of this process. `EngineError` where that is not
        possible.
        """
        if self.split is None:
            return nullcontext()
        tokens = self._tokens(latents_BCFHW)
        try:
            self.split.check(self.adapter.heads, tokens)
        except ValueError as error:
            raise EngineError(str(error)) from error
        return split_sequence(self.transformer, self.split, tokens)

    def _tokens(self, latents_BCFHW: Tensor) -> int:
        sides = zip(latents_BCFHW.shape[2:], self.adapter.patch, strict=True)
        return math.prod(side // patch for side, patch in sides)

    def _run(
        self,
        latents_BCFHW: Tensor,
        timesteps_B: Tensor,
        captions: CaptionStates,
        condition: ShotCondition,
    ) -> Tensor:
        inputs = self.family.model_input(condition.over(latents_BCFHW))
        return self.adapter.run(inputs, timesteps_B, captions, condition).to(latents_BCFHW.dtype)
