"""Attention by layer, head and step: how far back each head looks, and how many chunks it chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from moc_engine.step_caches import STEP_CACHE_NAMES
from moc_engine.trace.record import RoutingTrace
from moc_engine.trace.units import ONE
from studio.inspect.sources import shot_name

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Heads:
    """N layers, H (groups of) heads, G groups of steps, S earlier shots.

    `past` (N, H): the share that left the shot. `reach` (N, H): how many shots back that went on average,
    NaN where nothing did. `spread` (N,): the entropy of a query's attention over chunks, in bits, averaged.
    `steps` (G, S): the share of each earlier shot, called `shots`, by group of steps; `heads` and
    `step_groups` say what the entries stand for, and `reused` which of the steps did not run whole.
    """

    past: Floats
    reach: Floats
    spread: Floats
    steps: Floats
    shots: tuple[str, ...]
    heads: tuple[str, ...]
    step_groups: tuple[str, ...]
    reused: tuple[str, ...]


def heads_of(trace: RoutingTrace, indices: Mapping[str, int]) -> Heads:
    """What a trace says of its heads; `indices` are those of the shots that show each take."""
    tokens = [chunk.tokens for chunk in trace.query]
    shares = trace.table / ONE  # (N, H, G, Q, C)
    history = np.array([chunk.kind == "history" for chunk in trace.context])
    back = np.array([trace.shot - chunk.shot if chunk.kind == "history" else 0 for chunk in trace.context])
    by_head = np.average(np.average(shares, axis=3, weights=tokens), axis=2, weights=trace.weights)
    past = by_head[..., history].sum(axis=-1)
    with np.errstate(invalid="ignore"):
        reach = (by_head * back).sum(axis=-1) / np.where(past > 0, past, np.nan)
    entropy = -(shares * np.log2(np.where(shares > 0, shares, 1.0))).sum(axis=-1)  # (N, H, G, Q)
    spread = np.average(
        np.average(np.average(entropy, axis=3, weights=tokens), axis=2, weights=trace.weights),
        axis=1,
        weights=trace.heads,
    )
    shots = sorted({chunk.shot for chunk in trace.context if chunk.kind == "history"})
    takes = {chunk.shot: chunk.take or "" for chunk in trace.context if chunk.kind == "history"}
    columns = [[c.kind == "history" and c.shot == shot for c in trace.context] for shot in shots]
    by_group = np.stack([trace.shares(group=group) for group in range(len(trace.weights))])
    steps = [by_group[:, mask].sum(axis=1) for mask in columns]
    return Heads(
        past=past,
        reach=reach,
        spread=spread,
        steps=np.stack(steps, axis=1) if steps else by_group[:, :0],
        shots=tuple(shot_name(indices.get(takes[shot])) for shot in shots),
        heads=head_names(trace),
        step_groups=_step_spans(trace),
        reused=_reused(trace),
    )


def remembers(trace: RoutingTrace) -> bool:
    """Whether a shot could look at anything earlier."""
    return any(chunk.kind == "history" for chunk in trace.context)


def head_names(trace: RoutingTrace) -> tuple[str, ...]:
    """ "head 1", "heads 2–3" for each entry of a trace's table."""
    first = np.cumsum([0, *trace.heads]).tolist()
    return tuple(_span("head", a, b) for a, b in pairwise(first))


def step_names(trace: RoutingTrace) -> tuple[str, ...]:
    """ "steps 1–4" for each group of steps; "steps 1–4, high noise" where a model has two experts; "step 7:
    reused (first-block cache)" where layers were skipped.
    """
    return tuple(map("".join, zip(_step_spans(trace), _reused(trace), strict=True)))


def _step_spans(trace: RoutingTrace) -> tuple[str, ...]:
    experts = trace.routing.get("experts") or ()
    return tuple(
        _span("step", first, stop) + _noise(experts[first:stop]) for first, stop in trace.step_groups
    )


def _noise(experts: Sequence[str]) -> str:
    """Whose steps they are, of two experts."""
    seen = [name for name in dict.fromkeys(experts) if name]
    return f", {' and '.join(seen)} noise" if seen else ""


def reused_steps(trace: RoutingTrace) -> list[int]:
    """The steps, from 0, in which a cache skipped layers, and reused what they had computed before."""
    return sorted(step for step, _ in trace.routing.get("skipped") or ())


def cache_name(trace: RoutingTrace) -> str:
    """What the step cache of a render is called; "" where it had none."""
    method = trace.routing.get("step_cache") or ""
    return STEP_CACHE_NAMES.get(method, method)


def _reused(trace: RoutingTrace) -> tuple[str, ...]:
    """ ": reused (first-block cache)" for each group of steps; "" where all of its layers ran."""
    steps, name = reused_steps(trace), cache_name(trace)
    told = []
    for first, stop in trace.step_groups:
        count = len([step for step in steps if first <= step < stop])
        part = "" if count == stop - first else f"{count} of {stop - first} "
        told.append(f": {part}reused ({name})" if count else "")
    return tuple(told)


def _span(word: str, first: int, stop: int) -> str:
    return f"{word} {first + 1}" if stop - first == 1 else f"{word}s {first + 1}–{stop}"
