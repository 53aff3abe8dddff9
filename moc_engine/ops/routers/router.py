"""What a router is: a rule by which the queries of a shot choose chunks of the shots before it.

Every router gets the same question and the same budget, and answers with a `Choice`. It never sees a later
shot, nor may it choose a chunk that is no candidate (banned ones are none). Pinned chunks are no candidates
either: the caller attends to them in any case, beside the budget.

Shapes: B batch, H heads, L queries, T history tokens, C history chunks, D head width, K chosen chunks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from moc_engine.config import RoutingConfig
from moc_engine.ops.layout import ChunkLayout


@dataclass(frozen=True, kw_only=True, eq=False)
class RoutingRequest:
    """The queries of one shot in one layer, and the history they may choose from.

    `q_BHLD` and `own_k_BHLD` are the shot's queries and keys as descriptors are compared, rotated or not as
    `routing.pooling` says; `means_BHCD` are the mean keys (float32) of the history's chunks, whose `layout`
    numbers shots in story order, all before `shot`. `candidates_BC` (bool, B or 1 rows) are the chunks that
    may be chosen. `own_chunk_L` (int64) is the chunk of its own shot that each token stands in, 0 and up
    without gaps.

    `rotated` gives rotated queries, own keys (B, H, L, D) and history keys (B, H, T, D) in chunk order, for
    routers that look at single keys. `step` and `steps` count the denoising steps of the shot; `guided` is
    False in the pass of a step without caption.
    """

    q_BHLD: Tensor
    own_k_BHLD: Tensor
    means_BHCD: Tensor
    layout: ChunkLayout
    shot: int
    candidates_BC: Tensor
    own_chunk_L: Tensor
    routing: RoutingConfig
    rotated: Callable[[], tuple[Tensor, Tensor, Tensor]]
    layer: int = 0
    step: int = 0
    steps: int = 1
    guided: bool = True

    @cached_property
    def own_chunks(self) -> int:
        """How many chunks the shot itself has."""
        return int(self.own_chunk_L.max()) + 1


@dataclass(frozen=True, kw_only=True, eq=False)
class Choice:
    """What the queries attend to: history chunks, int64 (B, H, L, K), -1 for none; and pairs within the shot.

    `own_BHLL` (bool) are the tokens of its own shot that each query attends to; None: all of them.
    """

    indices_BHLK: Tensor
    own_BHLL: Tensor | None = None


class Router(Protocol):
    """Chooses for one film, shot after shot; may remember what it found in earlier steps.

    The pairs of all queries and heads together are at most those of each query attending to its whole shot
    and `routing.top_k` chunks of the history. The same requests get the same answers.
    """

    def begin(self) -> None:
        """A shot begins: what was found for the one before does not hold any more."""

    def choose(self, request: RoutingRequest) -> Choice:
        """The choice of a layer's queries."""


@dataclass(frozen=True, kw_only=True)
class RouterEntry:
    """A router of the registry: `title` and `source` (paper) for reports, and `make` for each film.

    `make` gets a generator for each story of the batch. A router with `routes_own` also chooses within the
    shot, so it is asked for shots without a history too.
    """

    name: str
    title: str
    source: str
    make: Callable[[Sequence[torch.Generator]], Router]
    routes_own: bool = False


@dataclass(frozen=True)
class StatelessRouter:
    """A router that is one function of the request."""

    rule: Callable[[RoutingRequest], Choice]

    def begin(self) -> None:
        """Nothing is remembered."""

    def choose(self, request: RoutingRequest) -> Choice:
        """What the rule says."""
        return self.rule(request)
