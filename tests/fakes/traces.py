"""Traces whose answers are known: shares given by hand, or drawn at random in any shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from moc_engine.trace.record import EMPTY, ContextChunk, QueryChunk, RoutingTrace
from moc_engine.trace.units import in_units

OWN = ContextChunk(kind="own", name="own shot", shot=2, frames=(0, 6))


def seen(name: str, shot: int, frames: tuple[int, int] = (0, 6)) -> ContextChunk:
    """A part of the take `take-SHOT` of an earlier shot."""
    return ContextChunk(kind="history", name=name, shot=shot, take=f"take-{shot}", frames=frames)


def made(
    table: NDArray[Any],
    *,
    query: Sequence[QueryChunk],
    context: Sequence[ContextChunk],
    heads: Sequence[int] | None = None,
    weights: Sequence[int] | None = None,
    shot: int = 2,
    **further: Any,
) -> RoutingTrace:
    """A trace of these shares (N, H, G, Q, C), each of whose tokens has the mean of its part."""
    bins, groups = table.shape[1:3]
    weights = weights or (1,) * groups
    heads = heads or (1,) * bins
    by_part = np.average(np.average(table, axis=2, weights=weights), axis=1, weights=heads).mean(axis=0)
    stops = np.cumsum(weights).tolist()
    told: dict[str, Any] = {
        "shot": shot,
        "model": "made",
        "backend": "naive",
        "routing": {},
        "steering": {},
        "query": tuple(query),
        "context": tuple(context),
        "step_groups": tuple((stop - size, stop) for stop, size in zip(stops, weights, strict=True)),
        "weights": tuple(weights),
        "heads": tuple(heads),
        "token_run": 1,
        "table": in_units(table),
        "picks": np.zeros(table.shape, dtype=np.uint32),
        "token_table": in_units(np.repeat(by_part, [chunk.tokens for chunk in query], axis=0)),
    }
    return RoutingTrace(**{**told, **further})


def third_shot(**changes: Any) -> RoutingTrace:
    """Mira (2 tokens) and the ball (1) in the third shot, after two shots that both show Mira; two layers, a
    head and a pair of heads, a first step and three more.

    Shares are the same in all layers, heads and steps but for Mira's: layer 1 looks at her in shot 1, layer 2
    at her in shot 2.
    """
    mira = [
        [0.5, 0.4, 0.0, 0.0, 0.0, 0.0, 0.1],  # own, Mira 1, ball 1, empty 1, Mira 2, empty 2, another empty 2
        [0.5, 0.1, 0.0, 0.0, 0.3, 0.0, 0.1],
    ]
    ball = [0.8, 0.0, 0.2, 0.0, 0.0, 0.0, 0.0]
    table = np.array([[[[layer, ball]] * 2] * 2 for layer in mira])
    told: dict[str, Any] = {
        "query": (
            QueryChunk(name="Mira", frames=(0, 6), tokens=2),
            QueryChunk(name="the ball", frames=(0, 6), tokens=1),
        ),
        "context": (
            OWN,
            seen("Mira", 0),
            seen("the ball", 0),
            seen("prop 2" + EMPTY, 0),
            seen("Mira", 1),
            seen("prop 1" + EMPTY, 1),
            seen("prop 2" + EMPTY, 1),
        ),
        "heads": (1, 2),
        "weights": (1, 3),
    }
    return made(table, **{**told, **changes})


PLACES = {"take-0": 0, "take-1": 1}
"""Where the takes of `third_shot` stand."""

NAMES = ("Mira", "Otto", "the ball", "prop 1" + EMPTY, "prop 2" + EMPTY)


@st.composite
def traces(draw: st.DrawFn) -> RoutingTrace:
    """Any trace: some parts share their name, some shares are 0, captions may be in the sequence."""
    layers, bins, groups = (draw(st.integers(1, 3)) for _ in range(3))
    names = st.lists(st.sampled_from(NAMES), min_size=1, max_size=4)
    earlier = draw(st.lists(names, max_size=3))
    context = [OWN] + [seen(name, shot) for shot, parts in enumerate(earlier) for name in parts]
    if draw(st.booleans()):
        context.append(ContextChunk(kind="caption", name="caption", shot=2))
    query = [QueryChunk(name=name, frames=(0, 6), tokens=draw(st.integers(1, 4))) for name in draw(names)]
    generator = np.random.default_rng(draw(st.integers(0, 999)))
    shape = (layers, bins, groups, len(query), len(context))
    shares = generator.gamma(0.5, size=shape) * (generator.random(shape) < 0.7)
    shares[..., 0] += 1e-3
    shares /= shares.sum(axis=-1, keepdims=True)
    picks = np.where(shares > 0, generator.integers(0, 9, shape), 0).astype(np.uint32)
    return made(
        shares,
        query=query,
        context=context,
        heads=tuple(generator.integers(1, 4, bins).tolist()),
        weights=tuple(generator.integers(1, 4, groups).tolist()),
        picks=picks,
    )


def places_of(trace: RoutingTrace) -> Mapping[str, int]:
    """All of a trace's takes where they stood."""
    return {chunk.take: chunk.shot for chunk in trace.context if chunk.take is not None}
