"""AdaSpa's router (training-free sparse attention, arXiv 2502.21079): masks used again in later steps.

In a few denoising steps the exact attention is summed over blocks of queries and keys, here the chunks. The
queries of a block share the best key blocks by that sum, head by head; the masks hold until the next search.
Heads get more blocks or fewer by how sparse their attention is.

How heads differ is our choice: up to half of them, those whose blocks already cover 80% of the attention,
give half of their blocks to as many heads that cover least. So are the steps of the searches, the first
included, so that no step is beyond the budget. As with other routers the whole shot is attended to, and the
blocks are of the history.

Shapes: B batch, H heads, L queries, T history tokens, C history chunks, O own chunks, D head width, K chunks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import torch
from torch import Tensor

from moc_engine.ops.choosing import choose_chunks
from moc_engine.ops.routers.router import Choice, RouterEntry, RoutingRequest

SEARCHES: Final = (0.0, 0.2, 0.6)
"""Parts of the denoising steps at which masks are searched: of 50 steps, the first, the 11th and the 31st."""

HIGH_RECALL: Final = 0.8


class AdaSpaRouter:
    """Keeps the chunks of every layer, with and without captions, until the next search."""

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self._found: dict[tuple[int, bool], Tensor] = {}

    def begin(self) -> None:
        """The next shot is searched anew."""
        self._found.clear()

    def choose(self, request: RoutingRequest) -> Choice:
        """The chunks found in this step, or in the last search."""
        key = (request.layer, request.guided)
        searches = {int(part * request.steps) for part in SEARCHES}
        if key not in self._found or request.step in searches:
            self._found[key] = search(request)
        return Choice(indices_BHLK=self._found[key][:, :, request.own_chunk_L])


@torch.no_grad()
def search(request: RoutingRequest) -> Tensor:
    """The history chunks (B, H, O, K) that the queries of each own chunk attend to, -1 for none."""
    mass_BHOC = block_mass(request)
    candidates = request.candidates_BC[:, None, None]
    top_k, heads = request.routing.top_k, mass_BHOC.shape[1]
    given = top_k // 2
    most = replace(request.routing, top_k=top_k + given)
    chosen_BHOK = choose_chunks(mass_BHOC, candidates, most, layout=request.layout)
    covered = _mass_of(chosen_BHOK[..., :top_k], mass_BHOC).sum(dim=(2, 3))
    whole = mass_BHOC.masked_fill(~candidates, 0.0).sum(dim=(2, 3))
    recall_BH = covered / whole.clamp(min=torch.finfo(whole.dtype).tiny)

    rank_BH = recall_BH.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    moved_B1 = (recall_BH >= HIGH_RECALL).sum(dim=1, keepdim=True).clamp(max=heads // 2)
    budget_BH = top_k + given * ((rank_BH >= heads - moved_B1).long() - (rank_BH < moved_B1).long())
    beyond = torch.arange(chosen_BHOK.shape[-1], device=chosen_BHOK.device) >= budget_BH[..., None, None]
    return chosen_BHOK.masked_fill(beyond, -1)


def block_mass(request: RoutingRequest) -> Tensor:
    """The attention (B, H, O, C) from each own chunk to each candidate of the history, summed over both.

    Exact, with one softmax over the own shot and all candidates.
    """
    q_BHLD, own_k_BHLD, k_BHTD = (x.float() for x in request.rotated())
    scores_BHLT = (
        q_BHLD @ torch.cat((own_k_BHLD, k_BHTD), dim=2).transpose(2, 3) / math.sqrt(q_BHLD.shape[-1])
    )
    chunk_T = torch.tensor(request.layout.token_chunk).to(q_BHLD.device)
    tokens = own_k_BHLD.shape[2]
    scores_BHLT[..., tokens:].masked_fill_(~request.candidates_BC[:, chunk_T][:, None, None], -torch.inf)
    weights_BHLT = scores_BHLT.softmax(dim=-1)[..., tokens:]
    to_chunk_TC = (chunk_T[:, None] == torch.arange(request.layout.chunks, device=chunk_T.device)).float()
    of_chunk_LO = torch.nn.functional.one_hot(request.own_chunk_L, request.own_chunks).float()
    mass: Tensor = of_chunk_LO.T @ (weights_BHLT @ to_chunk_TC)
    return mass


def _mass_of(chosen: Tensor, mass: Tensor) -> Tensor:
    return mass.gather(-1, chosen.clamp(min=0)).masked_fill(chosen < 0, 0.0)


ADASPA = RouterEntry(
    name="adaspa",
    title="AdaSpa",
    source="Training-free and Adaptive Sparse Attention, arXiv 2502.21079",
    make=AdaSpaRouter,
)
