"""What one part of a take attended to, and what is where in its picture."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from studio.domain.errors import NotThere
from studio.domain.messages import message
from studio.inspect.parts import Box, Part, box_of, heat, part_at, parts_at
from studio.inspect.sources import Drawn, ranked, sources_of
from studio.service.traces import RenderedProject, Traces, TraceSlice

MOST_SOURCES: Final = 12
"""How many sources are listed for one part."""


@dataclass(frozen=True, kw_only=True)
class AttendedSource:
    """A chunk that a part attended to, and its share.

    `shot` is the shot that shows its take now, `length` the take's seconds, `at` the second that shows the
    chunk best, and `box` where it is in the picture then.
    """

    label: str
    kind: str
    name: str
    shot: str | None
    index: int | None
    take: str | None
    share: float
    picks: int
    at: float | None
    length: float | None
    box: Box | None
    steerable: bool
    column: int


@dataclass(frozen=True, kw_only=True)
class PartAttention:
    """What a part of a take attended to, the largest share first. `own` is the share within the take."""

    part: str
    query: int
    box: Box | None
    own: float
    drawn: tuple[AttendedSource, ...]


@dataclass(frozen=True, kw_only=True)
class FrameParts:
    """The parts in a frame of a take. `grid`: rows × columns of tokens, if they form a grid."""

    parts: tuple[Part, ...]
    grid: tuple[int, int] | None


class Attention:
    """Reads what parts of finished takes attended to. Raises `NotThere` if a trace cannot be read."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    def of_part(self, project: str, take: str, query: int, where: TraceSlice) -> PartAttention:
        """What one part of a take attended to."""
        known = self._traces.project(project)
        trace = self._traces.trace(known, take)
        where.check(trace)
        if not 0 <= query < len(trace.query):
            raise NotThere(message("part-not-found", count=len(trace.query), part=query + 1))
        drawn = ranked(
            where.shares(trace, query),
            where.counts(trace, query),
            sources_of(trace, known.indices),
        )
        return self._part_attention(known, trace.query[query].name, query, None, drawn)

    def at_point(self, project: str, take: str, seconds: float, x: float, y: float) -> PartAttention:
        """What the part at a point attended to; `x` and `y` are fractions of width and height."""
        known = self._traces.project(project)
        trace = self._traces.trace(known, take)
        part = part_at(trace, seconds, x, y)
        if part is None:
            raise NotThere(message("trace-without-boxes"))
        drawn = ranked(
            trace.token_map()[part.row],
            trace.counts(query=part.query),
            sources_of(trace, known.indices),
        )
        return self._part_attention(known, part.name, part.query, part.box, drawn)

    def parts_at(self, project: str, take: str, seconds: float) -> FrameParts:
        """The parts that are visible at a time of a take."""
        trace = self._traces.trace(self._traces.project(project), take)
        return FrameParts(parts=parts_at(trace, seconds), grid=trace.grid)

    def heat(self, project: str, take: str, seconds: float, column: int) -> list[list[float]]:
        """The attention of each token of a frame to the chunk at a column of the trace, 0–1, in rows."""
        known = self._traces.project(project)
        trace = self._traces.trace(known, take)
        if trace.grid is None:
            raise NotThere(message("trace-without-grid"))
        columns = next((s.columns for s in sources_of(trace, known.indices) if column in s.columns), None)
        if columns is None:
            raise NotThere(message("chunk-not-found", column=column))
        return [[float(share) for share in row] for row in heat(trace, seconds, columns)]

    def _part_attention(
        self, known: RenderedProject, part: str, query: int, box: Box | None, drawn: Collection[Drawn]
    ) -> PartAttention:
        own = sum(item.share for item in drawn if item.source.kind == "own")
        shown = [item for item in drawn if item.source.kind != "own"][:MOST_SOURCES]
        return PartAttention(
            part=part,
            query=query,
            box=box,
            own=own,
            drawn=tuple(self._source(known, item) for item in shown),
        )

    def _source(self, known: RenderedProject, item: Drawn) -> AttendedSource:
        source = item.source
        take = known.takes.get(source.take or "")
        at, box = None, None
        if take is not None and source.frames is not None:
            frame = (source.frames[0] + source.frames[1] - 1) // 2
            try:
                trace = self._traces.trace(known, take.id)
                at = trace.moments[frame] if frame < len(trace.moments) else None
                box = box_of(trace, source.name, frame)
            except NotThere:
                pass  # the list stands without the picture's details
        shot = None if source.index is None else known.project.board.shots[source.index].id
        return AttendedSource(
            label=source.label,
            kind=source.kind,
            name=source.name,
            shot=shot,
            index=source.index,
            take=source.take,
            share=item.share,
            picks=item.picks,
            at=at,
            length=None if take is None else take.seconds,
            box=box,
            steerable=source.steerable,
            column=source.columns[0],
        )
