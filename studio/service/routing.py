"""The routing of a project as maps: shots to shots, and one take's parts to chunks; exports of both."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from studio.domain.errors import NotThere
from studio.domain.file_names import slug
from studio.domain.messages import message
from studio.domain.project import Lane
from studio.domain.storyboard import Shot
from studio.inspect.difference import difference
from studio.inspect.figures import (
    Figure,
    chunk_figure,
    difference_figure,
    head_figures,
    story_figure,
    take_figures,
)
from studio.inspect.heads import head_names, heads_of, remembers, step_names
from studio.inspect.pages import standalone
from studio.inspect.sources import by_source, shot_name, sources_of
from studio.inspect.story import StoryRow, story_of
from studio.inspect.trace_tables import FORMATS
from studio.inspect.words import backend_in_words, paragraph
from studio.service.traces import Traces, TraceSlice
from studio.store.takes import StoredTake


@dataclass(frozen=True, kw_only=True)
class StoryRouting:
    """The attention of shots to earlier shots, as rows and as a Plotly figure.

    `full` are the indices of the shots that attended in full to all they could, without routing.
    """

    rows: tuple[StoryRow, ...]
    full: tuple[int, ...]
    figure: Figure


@dataclass(frozen=True, kw_only=True)
class ChunkMap:
    """A take's attention to chunks, and the names of its layers, heads and groups of steps.

    `backend` says what computed the attention, and why that; "" where the trace does not.
    """

    figure: Figure
    words: str
    backend: str
    query: tuple[str, ...]
    layers: tuple[str, ...]
    heads: tuple[str, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class TakeComparison:
    """How the attention of two takes differs; `shots` sums it up, the largest change first."""

    figure: Figure
    shots: tuple[tuple[str, float], ...]


class Routing:
    """Shows the routing of finished takes. Raises `NotThere` if a trace cannot be read, and says why."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces

    def story(self, project: str) -> StoryRouting:
        """The attention of shots to earlier shots, from the takes' records."""
        known = self._traces.project(project)
        rows = story_of(known.project, known.takes)
        full = [row.index for row in rows if row.take and self._traces.is_full(known.takes[row.take])]
        return StoryRouting(rows=rows, full=tuple(full), figure=story_figure(rows))

    def shots(self, project: str) -> tuple[Shot, ...]:
        """The shots of the storyboard."""
        return self._traces.project(project).project.board.shots

    def shown(self, project: str, lane: Lane | None = None) -> dict[int, StoredTake]:
        """The chosen takes of a lane, by index of the shot: of the one worked in where None.

        Raises `Refused` for drafts of a project that has none.
        """
        return self._traces.project(project).shown(lane)

    def renamed(self, project: str) -> dict[str, str]:
        """The ids of takes by the ids they had with earlier versions, by which traces may name them."""
        return self._traces.project(project).renamed

    def captions(self, project: str) -> dict[str, str]:
        """The captions of all takes by id, shown or not."""
        return {name: take.caption for name, take in self._traces.project(project).takes.items()}

    def chunk_map(
        self, project: str, take: str, where: TraceSlice, *, log: bool = False, source: str | None = None
    ) -> ChunkMap:
        """The attention of a take's parts to all chunks, or to those of the take `source`."""
        known = self._traces.project(project)
        trace = self._traces.trace(known, take)
        where.check(trace)
        sources = [s for s in sources_of(trace, known.indices) if source in (None, s.take)]
        if not sources:
            raise NotThere(message("source-not-visible"))
        shares = np.stack([where.shares(trace, query) for query in range(len(trace.query))])
        query = tuple(chunk.name for chunk in trace.query)
        return ChunkMap(
            figure=chunk_figure(query, sources, by_source(shares, sources), log=log),
            words=paragraph(trace, known.indices),
            backend=" ".join(backend_in_words(trace)),
            query=query,
            layers=tuple(f"layer {nth + 1}" for nth in range(len(trace.table))),
            heads=head_names(trace),
            groups=step_names(trace),
        )

    def heads(self, project: str, take: str) -> dict[str, Figure]:
        """Layers, heads and steps of a take, by title."""
        known = self._traces.project(project)
        trace = self._traces.trace(known, take)
        if not remembers(trace):
            raise NotThere(message("no-context"))
        return head_figures(heads_of(trace, known.indices))

    def compare(self, project: str, left: str, right: str) -> TakeComparison:
        """One take's routing against another's."""
        known = self._traces.project(project)
        found = difference(self._traces.trace(known, left), self._traces.trace(known, right), known.indices)
        return TakeComparison(figure=difference_figure(found), shots=found.shots)

    def table(self, project: str, take: str, kind: str) -> bytes:
        """A take's trace as csv, npz or parquet."""
        if kind not in FORMATS:
            raise NotThere(message("table-unknown", kind=kind))
        return FORMATS[kind](self._traces.trace(self._traces.project(project), take))

    def page(self, project: str, take: str | None = None) -> str:
        """A standalone HTML page: the story map, and the maps of one take."""
        known = self._traces.project(project)
        figures = {"Which shot remembered which": story_figure(story_of(known.project, known.takes))}
        title, words = known.project.board.title, ""
        if take is not None:
            trace = self._traces.trace(known, take)
            figures |= take_figures(trace, known.indices)
            title, words = f"{title}, {shot_name(known.indices.get(take))}", paragraph(trace, known.indices)
        return standalone(title, figures, words)

    def file_name(self, project: str, take: str | None, ending: str) -> str:
        """What a saved table or page is called: "the-red-kite-shot-3-routing.csv"."""
        known = self._traces.project(project)
        index = known.indices.get(take or "")
        shot = f"-shot-{index + 1}" if index is not None else f"-{take[:8]}" if take else ""
        return f"{slug(known.project.board.title)}{shot}-routing.{ending}"
