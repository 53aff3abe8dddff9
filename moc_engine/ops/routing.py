"""Routing: which chunks each query attends to (MoC, arXiv 2508.21058, section 3).

A chunk's descriptor is the mean of its keys. A query scores every candidate chunk by a dot product and
takes the best `top_k`: per token, per head, per layer, nothing learnt but the projections. Candidates
are the video chunks of strictly earlier shots, so links between shots form a directed acyclic
graph. The own shot, the global and own captions and pinned chunks are mandatory, beside the budget.

    chunk_means ─► scores ─► choose_chunks ─► Selection        (route does all of it)
    eligible (causality, pins, bans, boosts) ──┘

Shapes: B batch, H heads, L queries, T tokens of the layout, C chunks, D head width, K chosen chunks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moc_engine.config import Captions, RoutingConfig, Steering
from moc_engine.ops.layout import CAPTION, GLOBAL_SHOT, Bools, ChunkLayout, Ints

CPU_SCORES_AT_ONCE = 1 << 18
SCORES_AT_ONCE = 1 << 24
"""Queries are scored in tiles of at most so many scores (few enough for a CPU's cache): no L × C matrix."""

NO_STEERING = Steering()
_LEAST = torch.iinfo(torch.int64).min
_LOW_HALF = 0xFFFFFFFF

FEW = 8
"""Up to so many chunks are found one after the other, which is faster than `topk`."""


@dataclass(frozen=True, kw_only=True)
class Eligibility:
    """Which chunks a query shot may route to, and which it must attend to: arrays of [C].

    `candidates` may be routed to; `pinned` are attended in any case and are no candidates; `boosts`
    (float32) add to the scores.
    """

    candidates: Bools
    pinned: Bools
    boosts: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class QueryGroup:
    """The queries start:stop of a selection: tokens of one shot, with the same mandatory chunks.

    `own`, `captions` and `pinned` say which chunks [C] are the shot's own (its captions included),
    captions it attends to besides, and pinned ones.
    """

    shot: int
    start: int
    stop: int
    own: Bools
    captions: Bools
    pinned: Bools

    @property
    def mandatory(self) -> Bools:
        return self.own | self.captions | self.pinned


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What every query attends to: routed `indices` (B, H, L, ≥ top_k) and mandatory chunks by group.

    Indices are chunks of the `layout` it was made for, best first, then -1 where there were fewer candidates.
    """

    indices: Tensor
    groups: tuple[QueryGroup, ...]
    layout: ChunkLayout

    def mask(self, layout: ChunkLayout | None = None) -> Tensor:
        """The attended pairs, bool (B, H, L, T). Writes the whole matrix: for checking only.

        Raises `ValueError` where `layout` is given and is not the one that was routed over.
        """
        if layout is not None and layout != self.layout:
            raise ValueError("layout: the selection was made for another layout")
        chosen = self.chunk_mask()
        return chosen[..., torch.tensor(self.layout.token_chunk).to(chosen.device)]

    def chunk_mask(self) -> Tensor:
        """The attended chunks, bool (B, H, L, C)."""
        chosen = mask_of(self.indices, self.layout.chunks)
        for group in self.groups:
            mandatory = torch.tensor(group.mandatory).to(chosen.device)
            chosen[:, :, group.start : group.stop] |= mandatory
        return chosen


def mask_of(indices: Tensor, count: int) -> Tensor:
    """Bool (..., count): which numbers below `count` stand among the indices (..., K), where -1 is none."""
    mask = torch.zeros(*indices.shape[:-1], count + 1, dtype=torch.bool, device=indices.device)
    mask.scatter_(-1, indices.where(indices >= 0, count), True)
    return mask[..., :-1]


def chunk_means(k_BHTD: Tensor, layout: ChunkLayout) -> Tensor:
    """The descriptors (B, H, C, D) in float32: mean keys; zero for an empty caption.

    Each chunk is summed on its own, so that what stands in one never shows in another.
    """
    B, H, _, D = k_BHTD.shape
    means = torch.zeros(B, H, layout.chunks, D, dtype=torch.float32, device=k_BHTD.device)
    borders = (np.flatnonzero(np.diff(layout.lengths)) + 1).tolist()
    for first, last in pairwise((0, *borders, layout.chunks)):  # runs of equally long chunks
        span = k_BHTD[:, :, int(layout.offsets[first]) : int(layout.offsets[last])]
        if span.shape[2]:
            means[:, :, first:last] = span.unflatten(2, (last - first, -1)).mean(dim=3, dtype=torch.float32)
    return means


def eligible(layout: ChunkLayout, query_shot: int, steering: Steering = NO_STEERING) -> Eligibility:
    """Causality and steering for the queries of one shot, which need not be in the layout itself.

    Raises `ValueError` naming the field of `steering` that speaks of a shot or chunk that is not an
    earlier one of the layout.
    """
    earlier = layout.is_video & (layout.shot >= 0) & (layout.shot < query_shot)
    for name, shots in (("pins", steering.pins), ("bans", steering.bans), ("boosts", steering.boosts)):
        for shot in shots:
            if not earlier[layout.shot == shot].any():
                raise ValueError(f"{name}: shot {shot} is not a shot earlier than {query_shot}")
    for name, chunks in (
        ("pin_chunks", steering.pin_chunks),
        ("ban_chunks", steering.ban_chunks),
        ("boost_chunks", steering.boost_chunks),
    ):
        for chunk in chunks:
            if not 0 <= chunk < layout.chunks or not earlier[chunk]:
                raise ValueError(f"{name}: chunk {chunk} is not a video chunk earlier than shot {query_shot}")
    pinned = _members(layout.shot, steering.pins) & earlier
    banned = _members(layout.shot, steering.bans) & earlier
    pinned[list(steering.pin_chunks)] = True
    banned[list(steering.ban_chunks)] = True
    if (pinned & banned).any():
        chunk = int(np.flatnonzero(pinned & banned)[0])
        raise ValueError(f"pins: chunk {chunk} of shot {layout.shot[chunk]} is both pinned and banned")
    boosts = np.zeros(layout.chunks, dtype=np.float32)
    for shot, boost in steering.boosts.items():
        boosts[layout.shot == shot] = boost
    for chunk, boost in steering.boost_chunks.items():
        boosts[chunk] += boost
    return Eligibility(candidates=earlier & ~pinned & ~banned, pinned=pinned, boosts=boosts)


def _members(values: Ints, wanted: Sequence[int]) -> Bools:
    return np.isin(values, np.asarray(wanted, dtype=np.int64))


def choose_chunks(
    scores: Tensor,
    candidates: Tensor,
    config: RoutingConfig,
    *,
    pinned: Tensor | None = None,
    layout: ChunkLayout | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The best chunks of each query: int64 (..., K), best first, -1 where there were too few.

    `scores` (..., C) are float32, `candidates` and `pinned` bool and broadcast against them; what is no
    candidate, or pinned, may hold anything, NaN too. Equal scores: the lower chunk wins. K is the
    smaller of `config.top_k` and C, and more with drop-in.

    `config.outer_shots` first keeps the shots whose mean key scores best (a dot product with a mean
    is the mean of dot products, so chunk scores suffice); it needs the `layout` of the chunks. Drop-off
    and drop-in, for training, happen only where a `generator` is given: per query, a share p ~ U(0,
    drop_off) of the chosen is dropped, and m ~ Poisson(drop_in) other candidates are added.
    """
    if pinned is not None:
        candidates = candidates & ~pinned
    among = candidates
    if config.outer_shots is not None:
        if layout is None:
            raise ValueError("layout: the outer loop over shots needs it")
        among = candidates & _best_shots(scores, candidates, config.outer_shots, layout)
    chosen = _top(scores, among, config.top_k)
    if generator is None:
        return chosen
    kept = _drop_off(chosen, config.drop_off, generator) if config.drop_off else chosen
    if config.drop_in:
        kept = torch.cat(
            (kept, _drop_in(chosen, candidates.expand(scores.shape), config.drop_in, generator)), dim=-1
        )
    return kept.gather(-1, (kept < 0).int().argsort(dim=-1, stable=True))


def _top(scores: Tensor, candidates: Tensor, count: int) -> Tensor:
    """Indices of the best `count` candidates along the last axis, -1 where there are fewer.

    Score and index are packed into one integer, which orders like the float and then by lower index,
    so that no two are equal and the choice does not depend on how `topk` treats ties.
    """
    width = scores.shape[-1]
    if width == 0:
        return scores.new_empty(scores.shape, dtype=torch.int64)
    bits = (scores.float() + 0.0).view(torch.int32)  # adding 0 makes -0 and 0 one
    keys = bits.bitwise_xor_((bits >> 31).bitwise_and_(0x7FFFFFFF)).long()
    keys.bitwise_left_shift_(32).add_(torch.arange(width - 1, -1, -1, device=scores.device))
    keys.masked_fill_(~candidates, _LEAST)
    if count > FEW:
        best = keys.topk(min(count, width), dim=-1)
        return best.indices.masked_fill(best.values == _LEAST, -1)
    chosen = []
    for _ in range(min(count, width)):
        largest = keys.amax(dim=-1, keepdim=True)
        index = width - 1 - largest.bitwise_and(_LOW_HALF)
        keys.scatter_(-1, index, _LEAST)
        chosen.append(index.masked_fill_(largest == _LEAST, -1))
    return torch.cat(chosen, dim=-1) if chosen else keys[..., :0]


def _best_shots(scores: Tensor, candidates: Tensor, count: int, layout: ChunkLayout) -> Tensor:
    """Whether each chunk (..., C) belongs to one of the best `count` shots of its query."""
    shots, shot_of_chunk = np.unique(layout.shot, return_inverse=True)
    index = torch.tensor(shot_of_chunk, device=scores.device)
    member = (index[:, None] == torch.arange(len(shots), device=scores.device)).float()
    tokens = member * torch.tensor(layout.lengths).to(member)[:, None]
    weight = candidates.float() @ tokens
    means = (scores.masked_fill(~candidates, 0.0).float() @ tokens) / weight.clamp(min=1.0)
    return mask_of(_top(means, weight > 0, count), len(shots))[..., index]


def _draw(shape: Sequence[int], like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(tuple(shape), generator=generator, device=generator.device).to(like.device)


def _drop_off(chosen: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """`chosen` with floor(p · k) of each query's k chunks replaced by -1, p ~ U(0, most)."""
    share = _draw(chosen.shape[:-1], chosen, generator) * most
    dropped = (share * (chosen >= 0).sum(dim=-1)).floor()
    order = _draw(chosen.shape, chosen, generator).masked_fill(chosen < 0, 2.0)
    rank = order.argsort(dim=-1, stable=True).argsort(dim=-1, stable=True)
    return chosen.masked_fill(rank < dropped[..., None], -1)


def _drop_in(chosen: Tensor, candidates: Tensor, mean: float, generator: torch.Generator) -> Tensor:
    """m ~ Poisson(mean) random candidates of each query that are not among `chosen`, else -1."""
    wanted = torch.poisson(torch.full(chosen.shape[:-1], mean, device=generator.device), generator)
    wanted = wanted.to(chosen.device)
    chunks = candidates.shape[-1]
    taken = mask_of(chosen, chunks)
    lots = _draw(candidates.shape, chosen, generator).masked_fill(taken | ~candidates, -1.0)
    width = min(chunks, int(wanted.max())) if wanted.numel() else 0
    drawn = lots.topk(width, dim=-1)
    surplus = torch.arange(width, device=chosen.device) >= wanted[..., None]
    return drawn.indices.masked_fill(surplus | (drawn.values < 0), -1)


@torch.no_grad()
def route(
    q: Tensor,
    k: Tensor | None,
    layout: ChunkLayout,
    query_shot: int | None = None,
    config: RoutingConfig | None = None,
    steering: Steering | Mapping[int, Steering] = NO_STEERING,
    *,
    descriptors: Tensor | None = None,
    routing_queries: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Selection:
    """Routes the queries of a shot, or of a whole story, to chunks of the layout.

    q (B, H, L, D) are the tokens of shot `query_shot` (all, or its video tokens alone), or with
    `query_shot=None` those of the whole layout; each is then routed as a token of its own shot and
    `steering` maps query shots to their `Steering`. k (B, H, T, D) are the keys of the layout.

    `descriptors` (B, H, C, D) replace the mean keys, k may then be None; `routing_queries`, shaped as
    q, replace q in the scores: give both unrotated to pool before rotary embedding. A `generator`
    turns on drop-off and drop-in. Raises `ValueError` naming the argument.
    """
    config = config if config is not None else RoutingConfig()
    _check_shapes(q, k, layout, descriptors, routing_queries)
    groups, rules = _groups(q.shape[2], layout, query_shot, config.captions, steering)
    if not groups:  # nothing but empty captions
        none = torch.empty(*q.shape[:3], config.top_k, dtype=torch.int64, device=q.device)
        return Selection(indices=none, groups=(), layout=layout)
    queries = (q if routing_queries is None else routing_queries).float()
    if descriptors is None:
        assert k is not None
        descriptors = chunk_means(k, layout)
    means_BHDC = descriptors.float().transpose(2, 3)

    candidates = torch.tensor(np.stack([rule.candidates for rule in rules])).to(q.device)
    boosts = torch.tensor(np.stack([rule.boosts for rule in rules])).to(q.device)
    counts = torch.tensor([group.stop - group.start for group in groups])
    rule_of_query = torch.arange(len(groups)).repeat_interleave(counts).to(q.device)

    B, H, L, _ = q.shape
    at_once = CPU_SCORES_AT_ONCE if q.device.type == "cpu" else SCORES_AT_ONCE
    tile = max(1, at_once // max(1, B * H * layout.chunks))
    chosen = []
    for start in range(0, L, tile):
        rule = rule_of_query[start : start + tile]
        scores = queries[:, :, start : start + tile] @ means_BHDC
        scores += boosts.index_select(0, rule)
        among = candidates.index_select(0, rule)
        chosen.append(choose_chunks(scores, among, config, layout=layout, generator=generator))
    return Selection(indices=_join(chosen, config.top_k), groups=tuple(groups), layout=layout)


def _join(tiles: Sequence[Tensor], least: int) -> Tensor:
    """Tiles (B, H, l, k) of differing k in one (B, H, L, K), K at least `least`, filled up with -1."""
    width = max(least, *(tile.shape[-1] for tile in tiles))
    pad = torch.nn.functional.pad
    return torch.cat([pad(tile, (0, width - tile.shape[-1]), value=-1) for tile in tiles], dim=2)


def _groups(
    queries: int,
    layout: ChunkLayout,
    query_shot: int | None,
    captions: Captions,
    steering: Steering | Mapping[int, Steering],
) -> tuple[list[QueryGroup], list[Eligibility]]:
    """The queries by shot, and what each shot may choose."""
    by_shot = isinstance(steering, Mapping)
    if not (by_shot or isinstance(steering, Steering)):
        raise ValueError(f"steering: expected a Steering, got {steering!r}")
    if query_shot is None:
        if not by_shot and steering:
            raise ValueError("steering: a whole story needs a mapping from query shot to Steering")
        if queries != layout.tokens:
            raise ValueError(f"q: the layout has {layout.tokens} tokens, got {queries} queries")
        steer = steering if isinstance(steering, Mapping) else {}
        for shot in steer:
            if not isinstance(steer[shot], Steering):
                raise ValueError(f"steering: expected a Steering for shot {shot}, got {steer[shot]!r}")
            if shot not in layout.shots or shot == GLOBAL_SHOT:
                raise ValueError(f"steering: there is no shot {shot} in the layout")
        spans = [(shot, *layout.token_span(shot)) for shot in layout.shots]
    else:
        if isinstance(steering, Mapping):
            raise ValueError("steering: a mapping by query shot goes with query_shot=None")
        if query_shot not in layout.shots or query_shot == GLOBAL_SHOT:
            raise ValueError(f"query_shot: there is no shot {query_shot} in the layout")
        start, stop = layout.token_span(query_shot)
        if queries not in (stop - start, layout.video_tokens(query_shot)):
            raise ValueError(f"q: shot {query_shot} has {stop - start} tokens, got {queries} queries")
        steer = {query_shot: steering}
        spans = [(query_shot, 0, queries)]
    groups, rules = [], []
    for shot, start, stop in spans:
        if start == stop:  # nothing but empty captions
            continue
        rule = eligible(layout, shot, steer.get(shot, NO_STEERING))
        own = layout.shot == shot
        seen = (layout.kind == CAPTION) & ((layout.shot == GLOBAL_SHOT) | (captions == "all")) & ~own
        groups.append(
            QueryGroup(shot=shot, start=start, stop=stop, own=own, captions=seen, pinned=rule.pinned)
        )
        rules.append(rule)
    return groups, rules


def _check_shapes(
    q: Tensor,
    k: Tensor | None,
    layout: ChunkLayout,
    descriptors: Tensor | None,
    routing_queries: Tensor | None,
) -> None:
    if q.ndim != 4:
        raise ValueError(f"q: expected (B, H, L, D), got {tuple(q.shape)}")
    B, H, _, D = q.shape
    if k is None and descriptors is None:
        raise ValueError("k: needed where no descriptors are given")
    if k is not None and tuple(k.shape) != (B, H, layout.tokens, D):
        raise ValueError(f"k: expected {(B, H, layout.tokens, D)}, got {tuple(k.shape)}")
    if routing_queries is not None and routing_queries.shape != q.shape:
        raise ValueError(f"routing_queries: expected {tuple(q.shape)}, got {tuple(routing_queries.shape)}")
    if descriptors is not None and tuple(descriptors.shape) != (B, H, layout.chunks, D):
        raise ValueError(f"descriptors: expected {(B, H, layout.chunks, D)}, got {tuple(descriptors.shape)}")
