"""MoGA's router (Mixture-of-Groups Attention, arXiv 2510.18692): tokens attend within learned groups.

A linear layer and a softmax give each token a probability of every group, and it belongs to the likeliest
one, in all heads alike. A query attends to tokens of its own group, and its attention to them is weighted by
the probability of its group, through which the layer learns. A loss keeps the groups equally large: the
number of groups times the sum, over groups, of the share of tokens times the mean probability, as in mixtures
of experts.

Ours, where the paper is silent or our setting differs:
- The layer reads a token's values of all heads, a linear map of the state that the paper's layer reads, since
  values are what is remembered of a take.
- The paper attends to a token's surroundings beside its group; here these are the whole own shot, as with
  other routers, in the same softmax as the group. The weight is added to the scores of the group's tokens,
  as the logarithm of the probability: the softmax multiplies their share by it.
- Of a group the tokens that belong to it with the highest probability are attended to, as many as
  `top_k` chunks have: a group of a long story is larger than the budget.
- The number of groups, and the weight of the loss.

Shapes: B batch, L queries, T history tokens, H heads, D head width, G groups.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from moc_engine.ops.autocast import without_autocast
from moc_engine.ops.routers.router import (
    Choice,
    LearnedRouter,
    ModelSizes,
    RouterEntry,
    RoutingRequest,
    untrained,
)

GROUPS: Final = 16

BALANCE: Final = 0.05
"""The weight of the loss that keeps groups equally large."""


class MogaRouter(LearnedRouter):
    """A linear layer from a token's values to groups for each layer of the model."""

    def __init__(self, sizes: ModelSizes, groups: int = GROUPS) -> None:
        super().__init__(sizes)
        self.layers = nn.ModuleList(nn.Linear(sizes.width, groups) for _ in range(sizes.layers))

    def choose(self, request: RoutingRequest) -> Choice:
        """The likeliest tokens of each query's group."""
        own, past = self._probabilities(request)
        return _choice(request, own, past)

    def probabilities(self, layer: int, v_BHLD: Tensor) -> Tensor:
        """The probability of each group for tokens with these values, (B, L, G) in float32."""
        with without_autocast(v_BHLD.device.type):
            states = v_BHLD.transpose(1, 2).flatten(2).float()
            probabilities: Tensor = self.layers[layer](states).softmax(dim=-1)
        return probabilities

    def mix(self, request: RoutingRequest, attend: Callable[[Choice], Tensor]) -> Tensor:
        """Attention by the choice itself; adds the loss of groups of unequal size."""
        own, past = self._probabilities(request)
        self.losses.append(BALANCE * imbalance(torch.cat((own, past), dim=1)))
        return attend(_choice(request, own, past))

    def _probabilities(self, request: RoutingRequest) -> tuple[Tensor, Tensor]:
        assert request.values is not None
        own_v, past_v = request.values()
        return self.probabilities(request.layer, own_v), self.probabilities(request.layer, past_v)


def _choice(request: RoutingRequest, own_BLG: Tensor, past_BTG: Tensor) -> Choice:
    likeliest, group_BL = own_BLG.max(dim=-1)
    kept_BGT = members(past_BTG, request.candidates_BT, request.routing.top_k * request.chunk_tokens)
    kept_BLT = kept_BGT.gather(1, group_BL[..., None].expand(-1, -1, past_BTG.shape[1]))
    scores_BLT = likeliest.log()[..., None].masked_fill(~kept_BLT, -torch.inf)
    B, H, L, _ = request.q_BHLD.shape
    return Choice(
        indices_BHLK=torch.empty(B, H, L, 0, dtype=torch.int64, device=request.q_BHLD.device),
        scores_BHLT=scores_BLT[:, None],
    )


def members(past_BTG: Tensor, candidates_BT: Tensor, most: int) -> Tensor:
    """Bool (B, G, T): the history tokens of each group that its queries attend to, at most so many."""
    belongs_BTG = one_hot(past_BTG.argmax(dim=-1), past_BTG.shape[-1]).bool() & candidates_BT[..., None]
    ranked_BGT = past_BTG.detach().masked_fill(~belongs_BTG, -1.0).transpose(1, 2)
    best = ranked_BGT.argsort(dim=-1, descending=True, stable=True)[..., :most]
    kept = torch.zeros_like(ranked_BGT, dtype=torch.bool).scatter(-1, best, True)
    return kept & belongs_BTG.transpose(1, 2)


def imbalance(probabilities_BLG: Tensor) -> Tensor:
    """1 for groups of equal size, and up to their number for one that has all tokens."""
    groups = probabilities_BLG.shape[-1]
    tokens_TG = probabilities_BLG.flatten(0, 1)
    share_G = one_hot(tokens_TG.argmax(dim=-1), groups).float().mean(dim=0)
    return groups * (share_G * tokens_TG.mean(dim=0)).sum()


MOGA = RouterEntry(
    name="moga",
    title="MoGA",
    source="Mixture-of-Groups Attention, arXiv 2510.18692",
    make=untrained("moga"),
    parameters=MogaRouter,
)
