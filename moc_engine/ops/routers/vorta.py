"""VORTA's router (Routing Sparse Attention, arXiv 2505.18809): heads attend in one of three learned ways.

A linear layer on the embedding of the noise level gives each head of a layer a probability of three ways to
attend, and a head takes the likeliest one. The model's weights stay as they are; in training the outputs of
all three are mixed by their probabilities, and the layers learn from the loss of denoising, from the
difference to the output of full attention, and from the mean square of the probability of full attention.

    full      all tokens of the history
    window    the nearest ones: the latest shots, and within a shot the chunks beside the query's own
    coreset   tokens that stand for their neighbours: of each bucket of tokens its centre, and those whose
              keys are least like the centre's, by the cosine; the others are left out

Ours, where our setting differs:
- The budget is fixed, as for other routers, and full attention is beyond it. Heads that ask for it get it
  in the order of its probability, as far as the others, which share what is left, keep a chunk or more; a
  head that does not takes the likelier of the other two.
- As with other routers the whole own shot is attended to, so only the history is thinned out. Queries are not
  merged for the coreset, as the paper does.
- A bucket is a run of tokens of the same place in the picture (with chunks that are tracks) or of the
  sequence, as short as lets each of them keep its centre and one more.

The paper's code gives a head that is sure of no way full attention; here the likeliest way counts.

Shapes: B batch, H heads, L queries, T history tokens, C history chunks, D head width, E model width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, silu

from moc_engine.ops.autocast import without_autocast
from moc_engine.ops.choosing import choose_chunks
from moc_engine.ops.routers.positions import window_scores
from moc_engine.ops.routers.router import (
    Choice,
    LearnedRouter,
    ModelSizes,
    RouterEntry,
    RoutingRequest,
    untrained,
)
from moc_engine.ops.selection import mask_of

FULL, WINDOW, CORESET = range(3)

FULL_WEIGHT: Final = 0.1
"""The weight of the loss that keeps full attention rare, as in the paper's code."""


class VortaRouter(LearnedRouter):
    """A linear layer from the embedding of the noise level to three ways a head, for each of the layers."""

    distilled = True

    def __init__(self, sizes: ModelSizes) -> None:
        super().__init__(sizes)
        self.layers = nn.ModuleList(nn.Linear(sizes.width, 3 * sizes.heads) for _ in range(sizes.layers))

    def choose(self, request: RoutingRequest) -> Choice:
        """The tokens that each head attends to by its likeliest way, within the budget of all heads."""
        way_BH, budget_BH = affordable(request, self.probabilities(request))
        way_BH11 = way_BH[..., None, None]
        sparse_BHLT = torch.where(
            way_BH11 == WINDOW,
            window(request, budget_BH // max(1, request.chunk_tokens)),
            coreset(request, budget_BH)[:, :, None],
        )
        return _choice(
            request, torch.where(way_BH11 == FULL, request.candidates_BT[:, None, None], sparse_BHLT)
        )

    def probabilities(self, request: RoutingRequest) -> Tensor:
        """The probability of each way, (B, H, 3) in float32."""
        assert request.time_BE is not None
        with without_autocast(request.time_BE.device.type):
            scores: Tensor = self.layers[request.layer](silu(request.time_BE.float()))
        probabilities: Tensor = scores.unflatten(-1, (-1, 3)).softmax(dim=-1)
        return probabilities

    def mix(self, request: RoutingRequest, attend: Callable[[Choice], Tensor]) -> Tensor:
        """The outputs of all ways, by their probabilities; each keeps the budget but for full attention."""
        probability_BH3 = self.probabilities(request)
        self.losses.append(FULL_WEIGHT * probability_BH3[..., FULL].square().mean())
        H = request.q_BHLD.shape[1]
        chunks = probability_BH3.new_full((1, H), request.routing.top_k, dtype=torch.int64)
        outputs = (
            attend(_choice(request, request.candidates_BT[:, None, None])),
            attend(_choice(request, window(request, chunks))),
            attend(_choice(request, coreset(request, chunks * request.chunk_tokens)[:, :, None])),
        )
        outputs_BH3LD = torch.stack(outputs, dim=2)
        return (outputs_BH3LD * probability_BH3[..., None, None].to(outputs_BH3LD.dtype)).sum(dim=2)


def affordable(request: RoutingRequest, probability_BH3: Tensor) -> tuple[Tensor, Tensor]:
    """The way of each head, (B, H), and the tokens of the history that a query of it may attend to."""
    B, H, _ = probability_BH3.shape
    chunk, budget = request.chunk_tokens, request.routing.top_k * request.chunk_tokens
    whole_B = request.candidates_BT.sum(dim=-1).expand(B)
    wants_BH = probability_BH3.argmax(dim=-1) == FULL
    beyond_B = (whole_B - chunk).clamp(min=1)
    most_B = torch.where(whole_B <= budget, H, H * max(0, budget - chunk) // beyond_B).clamp(max=H)
    eager_BH = probability_BH3[..., FULL].masked_fill(~wants_BH, -1.0)
    rank_BH = eager_BH.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    full_BH = wants_BH & (rank_BH < most_B[:, None])
    fulls_B = full_BH.sum(dim=1)
    left_B = (H * budget - fulls_B * whole_B).clamp(min=0) // (H - fulls_B).clamp(min=1)
    sparse_BH = probability_BH3[..., WINDOW:].argmax(dim=-1) + WINDOW
    way_BH = torch.where(full_BH, FULL, sparse_BH)
    return way_BH, left_B[:, None].expand(-1, H)


def window(request: RoutingRequest, chunks_BH: Tensor) -> Tensor:
    """Bool (B, H, L, T): the tokens of the nearest chunks, so many for each head."""
    B, H, L, _ = request.q_BHLD.shape
    most = int(chunks_BH.max())
    beside = request.own_chunk_L if request.routing.chunking == "track" else None
    scores = window_scores(request.layout, request.shot, beside).to(request.q_BHLD.device)
    chosen = choose_chunks(
        scores.expand(B, 1, L, -1),
        request.candidates_BC[:, None, None],
        replace(request.routing, top_k=most, outer_shots=None),
    )
    beyond = torch.arange(chosen.shape[-1], device=chosen.device) >= chunks_BH[..., None, None]
    by_chunk = mask_of(chosen.expand(B, H, -1, -1).masked_fill(beyond, -1), request.layout.chunks)
    chunk_T = torch.tensor(request.layout.token_chunk, dtype=torch.int64, device=by_chunk.device)
    return by_chunk[..., chunk_T]


@torch.no_grad()
def coreset(request: RoutingRequest, most_BH: Tensor) -> Tensor:
    """Bool (B, H, T): the tokens that stand for all candidates, at most so many for each head."""
    _, _, k_BHTD = request.rotated()
    B, H, T, _ = k_BHTD.shape
    device = k_BHTD.device
    order_T = _by_place(request).to(device)
    candidate_BT = request.candidates_BT.expand(B, -1)[:, order_T]
    count_B1 = candidate_BT.sum(dim=1, keepdim=True)
    most_BH = most_BH.expand(B, H)
    pairs_BH = (most_BH // 2).clamp(min=1)
    length_BH = -(count_B1 // -pairs_BH)  # rounded up
    place_BT = candidate_BT.cumsum(dim=1) - 1
    bucket_BHT = place_BT[:, None] // length_BH[..., None].clamp(min=1)
    first_BHT = bucket_BHT * length_BH[..., None]
    last_BHT = torch.minimum(first_BHT + length_BH[..., None], count_B1[..., None])
    centre_BHT = (first_BHT + last_BHT) // 2

    # the n-th candidate in `order_T`, candidates first
    nth_BT = (~candidate_BT).to(torch.int8).argsort(dim=1, stable=True)
    keys = k_BHTD.float()[:, :, order_T]
    centre_token = nth_BT[:, None].expand(-1, H, -1).gather(2, centre_BHT.clamp(0, max(0, T - 1)))
    centre_keys = keys.gather(2, centre_token[..., None].expand_as(keys))
    likeness_BHT = cosine_similarity(keys, centre_keys, dim=-1)

    is_centre = place_BT[:, None] == centre_BHT
    kept = _least_alike(likeness_BHT, bucket_BHT, is_centre, candidate_BT[:, None])
    kept = (kept & (most_BH >= 2)[..., None]) | is_centre
    kept = torch.where((most_BH >= count_B1)[..., None], True, kept & (most_BH >= 1)[..., None])
    found = torch.zeros_like(kept)
    return found.scatter(2, order_T.expand_as(kept), kept & candidate_BT[:, None])


def _least_alike(likeness: Tensor, bucket: Tensor, is_centre: Tensor, candidate: Tensor) -> Tensor:
    """Bool (B, H, T): the token of each bucket that is least like its centre."""
    ranked = likeness.masked_fill(is_centre | ~candidate, torch.inf)
    buckets = int(bucket.max()) + 1 if bucket.numel() else 1
    least = ranked.new_full((*ranked.shape[:2], buckets), torch.inf)
    least = least.scatter_reduce(2, bucket.clamp(min=0), ranked, reduce="amin")
    is_least = (ranked == least.gather(2, bucket.clamp(min=0))) & ranked.isfinite()
    earlier = _earlier_in_bucket(is_least, bucket)
    return is_least & ~earlier


def _earlier_in_bucket(marked: Tensor, bucket: Tensor) -> Tensor:
    """Whether an earlier token of the same bucket is marked; buckets are runs."""
    count = marked.long().cumsum(dim=2)
    starts = bucket != torch.nn.functional.pad(bucket, (1, 0), value=-2)[..., :-1]
    before = (count - marked.long()).masked_fill(~starts, -1)
    return count - marked.long() > before.cummax(dim=2).values


def _by_place(request: RoutingRequest) -> Tensor:
    """The history's tokens in the order of buckets, (T): slot by slot through all shots, or as they stand."""
    layout = request.layout
    token_chunk = torch.tensor(layout.token_chunk, dtype=torch.int64)
    if request.routing.chunking != "track" or not layout.chunks:
        return torch.arange(len(token_chunk))
    shot = torch.tensor(layout.shot, dtype=torch.int64)
    first = torch.searchsorted(shot, shot)
    return (torch.arange(layout.chunks) - first)[token_chunk].argsort(stable=True)


def _choice(request: RoutingRequest, kept: Tensor) -> Choice:
    B, H, L, _ = request.q_BHLD.shape
    kept_BHLT = kept.expand(B, H, L, -1)
    return Choice(
        indices_BHLK=torch.empty(B, H, L, 0, dtype=torch.int64, device=kept.device),
        scores_BHLT=torch.zeros_like(kept_BHLT, dtype=torch.float32).masked_fill(~kept_BHLT, -torch.inf),
    )


VORTA = RouterEntry(
    name="vorta",
    title="VORTA",
    source="Routing Sparse Attention, arXiv 2505.18809",
    make=untrained("vorta"),
    parameters=VortaRouter,
)
