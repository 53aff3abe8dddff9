"""MoBA's router (Mixture of Block Attention, arXiv 2502.13189): blocks of tokens, causal token by token.

The sequence of all shots is cut into blocks, here the chunks. A query attends to its own block, up to itself,
and to the best of the blocks before it by the dot product with their mean keys; blocks of the query's own
shot compete with those of earlier ones. Its own block counts among the top k, so k here is `top_k` and the
number of chunks of a shot together: as many pairs as others that attend to their whole shot and `top_k`
chunks. That holds where the chunks of a shot are as long as those of the history.

Tokens stand in chunk order: by track, one slot after the other. Captions are attended to elsewhere.

Shapes: B batch, H heads, L queries, C history chunks, O own chunks, D head width, K chosen blocks.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from moc_engine.ops.choosing import choose_chunks
from moc_engine.ops.routers.router import Choice, RouterEntry, RoutingRequest, StatelessRouter
from moc_engine.ops.selection import mask_of


def block_means(k_BHLD: Tensor, own_chunk_L: Tensor, chunks: int) -> Tensor:
    """The mean keys (B, H, O, D) of a shot's chunks, in float32."""
    member_LO = torch.nn.functional.one_hot(own_chunk_L, chunks).float()
    means: Tensor = (member_LO / member_LO.sum(dim=0)).T @ k_BHLD.detach().float()
    return means


def _choose(request: RoutingRequest) -> Choice:
    own_L, own_chunks, chunks = request.own_chunk_L, request.own_chunks, request.layout.chunks
    tokens, device = len(own_L), request.q_BHLD.device
    own_means = block_means(request.own_k_BHLD, own_L, own_chunks)
    means = torch.cat((request.means_BHCD.float(), own_means), dim=2)
    scores = request.q_BHLD.detach().float() @ means.transpose(2, 3)
    is_own_LO = torch.arange(own_chunks, device=device) == own_L[:, None]
    scores[..., chunks:].masked_fill_(is_own_LO, torch.inf)
    before_LO = torch.arange(own_chunks, device=device) <= own_L[:, None]
    history = request.candidates_BC[:, None, None].expand(-1, 1, tokens, -1)
    candidates = torch.cat((history, before_LO.expand(len(history), 1, -1, -1)), dim=-1)
    blocks = replace(request.routing, top_k=request.routing.top_k + own_chunks, outer_shots=None)
    chosen_BHLK = choose_chunks(scores, candidates, blocks)

    own_BHLO = mask_of(chosen_BHLK, chunks + own_chunks)[..., chunks:]
    order_L = (own_L * tokens + torch.arange(tokens, device=device)).argsort().argsort()
    causal_LL = order_L[:, None] >= order_L
    return Choice(
        indices_BHLK=chosen_BHLK.masked_fill(chosen_BHLK >= chunks, -1),
        own_BHLL=own_BHLO[..., own_L] & causal_LL,
    )


MOBA = RouterEntry(
    name="moba",
    title="MoBA",
    source="Mixture of Block Attention, arXiv 2502.13189",
    make=lambda generators: StatelessRouter(_choose),
    routes_own=True,
)
