"""The tensors of a case: a shot's queries and keys, and a history cut into chunks.

Shapes: H heads, L queries, T history keys, C chunks, D head width; every tensor is a batch of one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import torch
from torch import Tensor

from moc_engine.config import RoutingConfig
from moc_engine.evaluation.benchmark.cases import Case
from moc_engine.ops.layout import ChunkLayout, by_length
from moc_engine.ops.rotary import Rotary
from moc_engine.ops.routing import chunk_means

ALIKE: Final = 65
"""Neighbouring queries that resemble each other."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Story:
    """What attention is computed from; own and history keys lie apart, as in a render.

    `means` (1, H, C, D) are those of the history's chunks, which a render keeps with the memory of a take.
    """

    case: Case
    q: Tensor
    own_k: Tensor
    own_v: Tensor
    history_k: Tensor
    history_v: Tensor
    means: Tensor

    @cached_property
    def history(self) -> ChunkLayout:
        """The chunks of the history."""
        return by_length([self.case.queries] * (self.case.shots - 1), self.case.chunk)

    @cached_property
    def layout(self) -> ChunkLayout:
        """The chunks of the whole story, the own shot last."""
        return by_length([self.case.queries] * self.case.shots, self.case.chunk)

    @property
    def shot(self) -> int:
        """The number of the shot whose queries they are."""
        return self.case.shots - 1

    @property
    def routing(self) -> RoutingConfig:
        return RoutingConfig(top_k=self.case.top_k)

    @cached_property
    def k(self) -> Tensor:
        """The keys of the whole story, side by side as dense attention needs them."""
        return torch.cat((self.history_k, self.own_k), dim=2)

    @cached_property
    def v(self) -> Tensor:
        return torch.cat((self.history_v, self.own_v), dim=2)

    @cached_property
    def grad(self) -> Tensor:
        """A gradient of the output."""
        generator = torch.Generator(self.q.device).manual_seed(2)
        return torch.randn(self.q.shape, generator=generator, device=self.q.device).to(self.q.dtype)

    @cached_property
    def rotary(self) -> Rotary:
        """A rotary embedding of the history's tokens."""
        half = self.case.width // 2
        tokens = torch.arange(self.history.tokens, dtype=torch.float64, device=self.q.device)
        angle = tokens[:, None] * 10000.0 ** -(torch.arange(half, device=self.q.device) / half)
        return Rotary(cos=angle.cos().float(), sin=angle.sin().float())

    def with_rotated_history(self) -> Story:
        """The same story with the history's keys rotated, exactly: keys of the whole story in float64."""
        tokens = torch.arange(self.history.tokens, device=self.q.device)
        rotated = self.rotary(self.history_k.double(), tokens)
        return self.with_joined(torch.cat((rotated, self.own_k.double()), dim=2), self.v)

    def with_joined(self, k: Tensor, v: Tensor) -> Story:
        """The same story with these as the keys and values of the whole story."""
        copy = replace(self)
        copy.__dict__.update(k=k, v=v)
        return copy

    def scaled(self, scale: float) -> Story:
        """The same story with all inputs `scale` times as large."""
        names = ("q", "own_k", "own_v", "history_k", "history_v", "means")
        return replace(self, **{name: getattr(self, name) * scale for name in names})


def build_story(case: Case, device: torch.device) -> Story:
    """A story of random tensors, the same each time."""
    generator = torch.Generator(device).manual_seed(1)
    dtype = getattr(torch, case.dtype)

    def drawn(tokens: int) -> Tensor:
        shape = (1, case.heads, tokens, case.width)
        return torch.randn(shape, generator=generator, device=device).to(dtype)

    L, T = case.queries, case.context - case.queries
    q = drawn(L)
    if case.alike:
        q = 0.3 * q + drawn(-(-L // ALIKE)).repeat_interleave(ALIKE, dim=2)[:, :, :L]
    own_k, own_v, history_k, history_v = (drawn(tokens) for tokens in (L, L, T, T))
    layout = by_length([L] * (case.shots - 1), case.chunk)
    return Story(
        case=case,
        q=q,
        own_k=own_k,
        own_v=own_v,
        history_k=history_k,
        history_v=history_v,
        means=chunk_means(history_k, layout),
    )
