"""What a router is: a rule by which the queries of a shot choose chunks of the shots before it.

Every router gets the same question and the same budget, and answers with a `Choice`. It never sees a later
shot, nor may it choose a chunk that is no candidate (banned ones are none). Pinned chunks are no candidates
either: the caller attends to them in any case, beside the budget.

A router that learns has parameters of its own for each layer, a module kept beside the model's weights
(`moc_engine.ops.routers.weights`). Without it the router is refused: it never runs untrained.

Shapes: B batch, H heads, L queries, T history tokens, C history chunks, D head width, K chosen chunks, E
width of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Protocol

import torch
from torch import Tensor, nn

from moc_engine.config import RoutingConfig
from moc_engine.errors import ModelMismatch
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
    routers that look at single keys; `values` gives the values of the shot (B, H, L, D) and of the history
    (B, H, T, D), and `time_BE` is the model's embedding of the noise level, for routers that learn. `step`
    and `steps` count the denoising steps of the shot; `guided` is False in the pass of a step without
    caption.
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
    values: Callable[[], tuple[Tensor, Tensor]] | None = None
    time_BE: Tensor | None = None
    layer: int = 0
    step: int = 0
    steps: int = 1
    guided: bool = True

    @cached_property
    def own_chunks(self) -> int:
        """How many chunks the shot itself has."""
        return int(self.own_chunk_L.max()) + 1

    @cached_property
    def chunk_tokens(self) -> int:
        """The tokens of the shortest chunk of the history; 0 without a history."""
        return int(self.layout.lengths.min()) if self.layout.chunks else 0

    @cached_property
    def candidates_BT(self) -> Tensor:
        """The tokens of the chunks that may be chosen, bool (B or 1, T), in chunk order."""
        chunk_T = torch.tensor(self.layout.token_chunk, dtype=torch.int64, device=self.candidates_BC.device)
        return self.candidates_BC[:, chunk_T]


@dataclass(frozen=True, kw_only=True, eq=False)
class Choice:
    """What the queries attend to: history chunks, int64 (B, H, L, K), -1 for none; and pairs within the shot.

    `own_BHLL` (bool) are the tokens of its own shot that each query attends to; None: all of them. A router
    that chooses single tokens instead of chunks gives `scores_BHLT`: what is added to the score of each
    history token, in chunk order, -inf for those that are not attended to. H may be 1 there, for all heads.
    """

    indices_BHLK: Tensor
    own_BHLL: Tensor | None = None
    scores_BHLT: Tensor | None = None


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
    shot, so it is asked for shots without a history too. For one that learns, `parameters` builds untrained
    ones for a model's sizes.
    """

    name: str
    title: str
    source: str
    make: Callable[[Sequence[torch.Generator]], Router]
    routes_own: bool = False
    parameters: Callable[[ModelSizes], LearnedRouter] | None = None

    def start(
        self, generators: Sequence[torch.Generator], learned: Mapping[str, LearnedRouter] | None = None
    ) -> Router:
        """The router of a film, with the learned routers of its model, by name.

        Raises `ModelMismatch` if the router learns and the model has no parameters of it.
        """
        if self.parameters is None:
            return self.make(generators)
        router = None if learned is None else learned.get(self.name)
        return self.make(generators) if router is None else router


@dataclass(frozen=True, kw_only=True)
class ModelSizes:
    """What the parameters of a learned router depend on: `width` is that of the transformer's tokens."""

    layers: int
    heads: int
    width: int


class LearnedRouter(nn.Module):
    """A router with parameters: `sizes` are those of the model it was made for.

    One that is `distilled` learns with the model's weights as they are, toward the model's output with full
    attention.
    """

    distilled: ClassVar[bool] = False

    def __init__(self, sizes: ModelSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.losses: list[Tensor] = []

    def begin(self) -> None:
        """A shot begins; nothing is remembered of the one before."""

    def choose(self, request: RoutingRequest) -> Choice:
        """The choice of a layer's queries."""
        raise NotImplementedError

    def mix(self, request: RoutingRequest, attend: Callable[[Choice], Tensor]) -> Tensor:
        """The attention of a layer in training, through which the parameters learn; adds to `losses`."""
        return attend(self.choose(request))

    def take_loss(self) -> Tensor:
        """The sum of the losses since the last call; 0 with a gradient of 0 where nothing was routed."""
        nothing = torch.stack([0.0 * parameter.sum() for parameter in self.parameters()])
        losses, self.losses = self.losses, []
        return torch.stack((nothing.sum(), *losses)).sum()


def untrained(name: str) -> Callable[[Sequence[torch.Generator]], Router]:
    """The `make` of a router that learns: refuses to run without parameters."""

    def refuse(generators: Sequence[torch.Generator]) -> Router:
        raise ModelMismatch(
            f"the router {name} is learned, and this model has no parameters of it; "
            f"train some: moc-studio train animatic --router {name}"
        )

    return refuse


@dataclass(frozen=True)
class StatelessRouter:
    """A router that is one function of the request."""

    rule: Callable[[RoutingRequest], Choice]

    def begin(self) -> None:
        """Nothing is remembered."""

    def choose(self, request: RoutingRequest) -> Choice:
        """What the rule says."""
        return self.rule(request)
