"""One take's routing against another's of the same shot."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from moc_engine.trace import RoutingTrace
from studio.routing.sources import Source, by_source, shot_name, sources_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Difference:
    """What the right take drew more (above 0) or less than the left.

    `table` (Q, S) by parts of the shot, `query`, and by sources that either of them saw; `shots` sums it up
    per earlier shot, the largest change first.
    """

    query: tuple[str, ...]
    sources: tuple[Source, ...]
    table: Floats
    shots: tuple[tuple[str, float], ...]


def difference(left: RoutingTrace, right: RoutingTrace, places: Mapping[str, int]) -> Difference:
    """Parts and sources are matched by name, sources by where their take stands too."""
    tables = []
    sources: dict[tuple[object, ...], Source] = {}
    for trace in (left, right):
        own = sources_of(trace, places)
        for source in own:
            sources.setdefault(_key(source), source)
        shares = by_source(trace.by_query(), own)
        tables.append(
            {
                (chunk.name, _key(source)): shares[row, column]
                for row, chunk in enumerate(trace.query)
                for column, source in enumerate(own)
            }
        )
    names = tuple(dict.fromkeys(chunk.name for trace in (left, right) for chunk in trace.query))
    before, after = (
        np.array([[table.get((name, key), 0.0) for key in sources] for name in names]) for table in tables
    )
    return Difference(
        query=names,
        sources=tuple(sources.values()),
        table=after - before,
        shots=_by_shot(left, right, places),
    )


def _key(source: Source) -> tuple[object, ...]:
    return source.kind, source.take if source.place is None else source.place, source.name


def _by_shot(
    left: RoutingTrace, right: RoutingTrace, places: Mapping[str, int]
) -> tuple[tuple[str, float], ...]:
    changes: dict[str, float] = {}
    for trace, sign in ((left, -1.0), (right, 1.0)):
        for link in trace.links():
            name = shot_name(places.get(link.take or ""))
            changes[name] = changes.get(name, 0.0) + sign * link.share
        changes["the shot itself"] = changes.get("the shot itself", 0.0) + sign * trace.own_share()
    return tuple(sorted(changes.items(), key=lambda change: -abs(change[1])))
