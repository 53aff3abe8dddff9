"""Routing: which chunks each query attends to (MoC, arXiv 2508.21058, section 3).

A chunk's descriptor is the mean of its keys. A query scores every candidate chunk by a dot product and
takes the best `top_k`: per token, per head, per layer, nothing learnt but the projections. Candidates
are the video chunks of strictly earlier shots, so links between shots form a directed acyclic
graph. The own shot, the global and own captions and pinned chunks are mandatory, beside the budget.

    chunk_means ──────────────────────────────► route_queries ─► Selection        (route does all of it)
    eligible (causality, pins, bans, boosts) ─┘

Shapes: B batch, H heads, L queries, T tokens of the layout, C chunks, D head width, K chosen chunks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moc_engine.config import RoutingConfig, Steering
from moc_engine.ops.choosing import ChunkRules, has_kernels, route_queries
from moc_engine.ops.full_attention import resolved_full_below
from moc_engine.ops.layout import CAPTION, GLOBAL_SHOT, Bools, ChunkLayout, Ints
from moc_engine.ops.selection import QueryGroup, Selection

NO_STEERING = Steering()


@dataclass(frozen=True, kw_only=True)
class Eligibility:
    """Which chunks a query shot may route to, and which it must attend to: arrays of [C].

    `candidates` may be routed to; `pinned` are attended in any case and are no candidates; `boosts`
    (float32) add to the scores.
    """

    candidates: Bools
    pinned: Bools
    boosts: NDArray[np.float32]


def chunk_means(k_BHTD: Tensor, layout: ChunkLayout) -> Tensor:
    """The descriptors (B, H, C, D) in float32: mean keys; zero for an empty caption.

    Each chunk is summed on its own, so that what stands in one never shows in another. On CUDA devices with
    Triton a kernel sums them.
    """
    B, H, _, D = k_BHTD.shape
    if has_kernels(k_BHTD.device):
        from moc_engine.ops.triton.means import chunk_means_by_kernel, supports

        if supports(k_BHTD):
            return chunk_means_by_kernel(k_BHTD, layout.offsets)
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
    if not wanted:
        return np.zeros(len(values), dtype=bool)
    return np.isin(values, np.asarray(wanted, dtype=np.int64))


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
    turns on drop-off and drop-in. A shot whose tokens and those it could attend to are fewer than
    `config.full_below` attends to them all. Raises `ValueError` naming the argument.
    """
    config = config if config is not None else RoutingConfig()
    if config.router != "moc":
        raise ValueError(f"router: this chooses as MoC does, got {config.router!r}")
    _check_shapes(q, k, layout, descriptors, routing_queries)
    size = _Size(rows=q.shape[0] * q.shape[1], queries=q.shape[2], head=q.shape[3], device=q.device.type)
    if steering is NO_STEERING:
        groups, eligibilities = _unsteered_groups(layout, query_shot, config, size)
    else:
        groups, eligibilities = _groups(layout, query_shot, config, size, steering)
    if not groups:  # nothing but empty captions
        none = torch.empty(*q.shape[:3], config.top_k, dtype=torch.int64, device=q.device)
        return Selection(indices=none, groups=(), layout=layout)
    if all(group.full is not None for group in groups):
        none = torch.empty(*q.shape[:3], 0, dtype=torch.int64, device=q.device)
        return Selection(indices=none, groups=groups, layout=layout)
    routable = [
        rule.candidates & (group.full is None) for group, rule in zip(groups, eligibilities, strict=True)
    ]
    if descriptors is None:
        assert k is not None
        descriptors = chunk_means(k, layout)
    counts = torch.tensor([group.stop - group.start for group in groups])
    boosts = np.stack([rule.boosts for rule in eligibilities])[None]
    rules = ChunkRules(
        candidates=torch.tensor(np.stack(routable)[None]).to(q.device),
        boosts=torch.tensor(boosts).to(q.device) if boosts.any() else None,
        of_query=None
        if len(groups) == 1
        else torch.arange(len(groups)).repeat_interleave(counts).to(q.device),
    )
    queries = q if routing_queries is None else routing_queries
    chosen = route_queries(queries, descriptors, rules, config, layout=layout, generator=generator)
    missing = max(0, config.top_k - chosen.shape[-1])
    indices = torch.nn.functional.pad(chosen, (0, missing), value=-1)
    return Selection(indices=indices, groups=groups, layout=layout)


@dataclass(frozen=True, kw_only=True)
class _Size:
    """The size of the queries: rows of batch times heads, queries of a row, head width; the device type."""

    rows: int
    queries: int
    head: int
    device: str


def _groups(
    layout: ChunkLayout,
    query_shot: int | None,
    config: RoutingConfig,
    size: _Size,
    steering: Steering | Mapping[int, Steering] = NO_STEERING,
) -> tuple[tuple[QueryGroup, ...], tuple[Eligibility, ...]]:
    """The queries by shot, and what each shot may choose."""
    by_shot = isinstance(steering, Mapping)
    if not (by_shot or isinstance(steering, Steering)):
        raise ValueError(f"steering: expected a Steering, got {steering!r}")
    if query_shot is None:
        if not by_shot and steering:
            raise ValueError("steering: a whole story needs a mapping from query shot to Steering")
        if size.queries != layout.tokens:
            raise ValueError(f"q: the layout has {layout.tokens} tokens, got {size.queries} queries")
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
        if size.queries not in (stop - start, layout.video_tokens(query_shot)):
            raise ValueError(f"q: shot {query_shot} has {stop - start} tokens, got {size.queries} queries")
        steer = {query_shot: steering}
        spans = [(query_shot, 0, size.queries)]
    groups, rules = [], []
    for shot, start, stop in spans:
        if start == stop:  # nothing but empty captions
            continue
        rule = eligible(layout, shot, steer.get(shot, NO_STEERING))
        own = layout.shot == shot
        every = config.captions == "all"
        seen = (layout.kind == CAPTION) & ((layout.shot == GLOBAL_SHOT) | every) & ~own
        group = QueryGroup(shot=shot, start=start, stop=stop, own=own, captions=seen, pinned=rule.pinned)
        groups.append(_in_full_below(group, rule, layout, config, size))
        rules.append(rule)
    return tuple(groups), tuple(rules)


_unsteered_groups = lru_cache(maxsize=256)(_groups)
"""What follows from sizes alone is worked out once, not in each layer and step."""


def _in_full_below(
    group: QueryGroup, rule: Eligibility, layout: ChunkLayout, config: RoutingConfig, size: _Size
) -> QueryGroup:
    """The group with its candidates in full where it could attend to fewer tokens than `full_below`."""
    below = resolved_full_below(
        config,
        size.device,
        rows=size.rows,
        tokens=group.stop - group.start,
        head_size=size.head,
        chunk_lengths=layout.lengths[rule.candidates],
        mandatory=int(layout.lengths[group.mandatory & ~group.own].sum()),
    )
    tokens = int(layout.lengths[group.mandatory | rule.candidates].sum())
    return replace(group, full=rule.candidates) if tokens < below else group


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
