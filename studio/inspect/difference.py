"""The differences between the routing of two takes of a shot."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.trace.record import RoutingTrace
from studio.inspect.sources import Source, by_source, shot_name, sources_of

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Difference:
    """What the right take drew more (above 0) or less than the left.

    `table` (Q, S) by parts of the shot, `query`, and by sources that either of them saw; by whole shots where
    the parts of one take are places and those of the other are frames. `shots` sums it up per earlier shot,
    the largest change first.
    """

    query: tuple[str, ...]
    sources: tuple[Source, ...]
    table: Floats
    shots: tuple[tuple[str, float], ...]


def difference(left: RoutingTrace, right: RoutingTrace, indices: Mapping[str, int]) -> Difference:
    """Parts and sources are matched by name, sources by where their take stands too; those of one name in
    order.
    """
    alike = (left.grid is None) == (right.grid is None)
    seen = [(_by_part if alike else _whole)(trace, indices) for trace in (left, right)]
    tables = []
    sources: dict[tuple[Hashable, int], Source] = {}
    parts: dict[tuple[Hashable, int], str] = {}
    for take in seen:
        columns = _numbered([_key(source) for source in take.sources])
        rows = _numbered(take.query)
        for column, source in zip(columns, take.sources, strict=True):
            sources.setdefault(column, source)
        parts |= dict(zip(rows, take.query, strict=True))
        tables.append(
            {
                (row, column): take.shares[q, s]
                for q, row in enumerate(rows)
                for s, column in enumerate(columns)
            }
        )
    sources = dict(sorted(sources.items(), key=lambda item: _order(item[1])))
    before, after = (
        np.array([[table.get((row, column), 0.0) for column in sources] for row in parts]) for table in tables
    )
    return Difference(
        query=tuple(parts.values()),
        sources=tuple(sources.values()),
        table=after - before,
        shots=_by_shot(left, right, indices),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Seen:
    """The attention of a take, `shares` (Q, S), by its parts and their sources."""

    query: tuple[str, ...]
    sources: tuple[Source, ...]
    shares: Floats


def _by_part(trace: RoutingTrace, indices: Mapping[str, int]) -> _Seen:
    sources = sources_of(trace, indices)
    query = tuple(chunk.name for chunk in trace.query)
    return _Seen(query=query, sources=sources, shares=by_source(trace.by_query(), sources))


def _whole(trace: RoutingTrace, indices: Mapping[str, int]) -> _Seen:
    """That of the shot as a whole, to whole shots."""
    merged: dict[Hashable, Source] = {}
    for source in sources_of(trace, indices):
        key = source.kind, source.take
        columns = (*(merged[key].columns if key in merged else ()), *source.columns)
        merged[key] = replace(source, name=_NAMES[source.kind], frames=None, columns=columns)
    tokens = np.array([chunk.tokens for chunk in trace.query])
    by_shot = (trace.by_query() * (tokens / tokens.sum())[:, None]).sum(axis=0, keepdims=True)
    sources = tuple(merged.values())
    return _Seen(query=("the whole shot",), sources=sources, shares=by_source(by_shot, sources))


_NAMES: Final = {"own": "this shot", "history": "everything", "caption": "captions"}
"""What whole shots and their captions are called."""


def _key(source: Source) -> Hashable:
    return source.kind, source.take if source.index is None else source.index, source.name


def _order(source: Source) -> tuple[int, float]:
    """As in a trace: the shot itself, earlier ones as the film shows them, captions."""
    kind = ("own", "history", "caption").index(source.kind)
    return kind, float("inf") if source.index is None else source.index


def _numbered(keys: Sequence[Hashable]) -> list[tuple[Hashable, int]]:
    """Each key with how often it came before."""
    return [(key, keys[:nth].count(key)) for nth, key in enumerate(keys)]


def _by_shot(
    left: RoutingTrace, right: RoutingTrace, indices: Mapping[str, int]
) -> tuple[tuple[str, float], ...]:
    changes: dict[str, float] = {}
    for trace, sign in ((left, -1.0), (right, 1.0)):
        for link in trace.links():
            name = shot_name(indices.get(link.take or ""))
            changes[name] = changes.get(name, 0.0) + sign * link.share
        changes["the shot itself"] = changes.get("the shot itself", 0.0) + sign * trace.own_share()
    return tuple(sorted(changes.items(), key=lambda change: -abs(change[1])))
