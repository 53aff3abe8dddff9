"""Values of a routing trace that may predict how much a shot changes without one of its context takes.

Each maps the numbers of the context shots to a value, larger meaning more; `influence` measures how well each
predicts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from moc_engine.trace.record import EMPTY, RoutingTrace
from moc_engine.trace.units import ONE, Floats

CONTEXT_SHARE: Final = "share of context"
"""A take's share of the attention that a shot gave to its context."""

LARGEST_SHOWN: Final = (
    "largest share of a shown query chunk"
    """The best predictor, and the one the studio
uses: the largest share of a take in the context attention of any one character, prop or set in the picture. A
mean over the whole picture is diluted by empty slots. See `evaluation/RESULTS.md` for how well it
predicts."""
)


def predictors(trace: RoutingTrace) -> dict[str, dict[int, float]]:
    """By name and context shot.

    share of context       a take's share of the attention given to the context
    share of all attention the same, with attention to the own shot in the denominator
    first, last steps      share of context in the first and in the last recorded group of steps
    layer n                share of context in one layer
    shown chunks           share of context among query and context chunks that are not empty
    largest chunk          the share of a take's strongest chunk instead of the sum of its chunks
    largest … query chunk  the largest share of context of any one query chunk, or of any that is not empty
    largest head           the largest share of context of any one head
    times chosen           the share of a take's chunks among all selected chunks, whatever their attention
    """
    history = np.array([chunk.kind == "history" for chunk in trace.context])
    shots = np.array([chunk.shot for chunk in trace.context])[history]
    nonempty = np.array([not chunk.name.endswith(EMPTY) for chunk in trace.context])[history]
    shown = np.array([not chunk.name.endswith(EMPTY) for chunk in trace.query])
    tokens = np.array([chunk.tokens for chunk in trace.query], dtype=float)
    numbers = np.unique(shots)
    member = (shots[:, None] == numbers).astype(float)  # (C, shots)

    shares = trace.shares()[history]
    by_query = trace.by_query()[:, history]
    by_layer = trace.by_layer()[:, history]
    by_head = np.average(trace.table / ONE, axis=2, weights=trace.weights)
    by_head = np.average(by_head, axis=2, weights=tokens)[..., history].reshape(-1, len(shots))
    last = len(trace.step_groups) - 1
    of_shown = np.average(by_query, axis=0, weights=tokens * shown) if shown.any() else shares
    found: dict[str, Floats] = {
        CONTEXT_SHARE: _parts(shares @ member),
        "share of all attention": shares @ member,
        "share of context, first steps": _parts(trace.shares(group=0)[history] @ member),
        "share of context, last steps": _parts(trace.shares(group=last)[history] @ member),
        **{
            f"share of context, layer {layer + 1}": _parts(row @ member) for layer, row in enumerate(by_layer)
        },
        "share of context, shown chunks": _parts((of_shown * nonempty) @ member),
        "largest chunk": (shares[:, None] * member).max(axis=0) / max(shares.sum(), 1e-12),
        "largest share of a query chunk": _parts(by_query @ member).max(axis=0),
        LARGEST_SHOWN: _parts((by_query[shown] * nonempty) @ member).max(axis=0, initial=0.0),
        "largest share of a head": _parts(by_head @ member).max(axis=0),
        "times chosen": _parts(trace.counts()[history] @ member),
    }
    return {name: dict(zip(numbers.tolist(), values.tolist(), strict=True)) for name, values in found.items()}


def baselines(shot: int, common: Mapping[int, int]) -> dict[str, dict[int, float]]:
    """Predictors that need no trace: how near a context shot is, and how much it has in common.

    `common` counts, for each context shot, the cast members and sets it shares with the shot.
    """
    return {
        "nearness (no trace)": {source: float(source - shot) for source in common},
        "common cast and set (no trace)": {source: float(count) for source, count in common.items()},
    }


def _parts(amounts: Floats) -> Floats:
    """Shares of their sum along the last axis; zero if the sum is zero."""
    total = amounts.sum(axis=-1, keepdims=True)
    parts: Floats = np.divide(amounts, total, out=np.zeros_like(amounts), where=total > 0)
    return parts
