"""The routing inspector: what traces say of a project's shots, each call whole by itself."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from moc_engine.errors import TraceError
from moc_engine.trace.drift import Appearance, Drift, Scene, Sighting, drift_of, sightings
from moc_engine.trace.record import RoutingTrace
from moc_engine.vocabulary import looks_told
from studio.domain.errors import NotThere, WrongUse
from studio.domain.file_names import slug
from studio.domain.planner import chosen_take, first_places
from studio.domain.project import Project
from studio.domain.storyboard import Shot
from studio.inspect.consistency import reason
from studio.inspect.difference import difference
from studio.inspect.figures import (
    Figure,
    chunk_figure,
    difference_figure,
    drift_figure,
    head_figures,
    standalone,
    story_figure,
    take_figures,
)
from studio.inspect.heads import head_names, heads_of, remembers, step_names
from studio.inspect.parts import Box, Part, box_of, heat, part_at, parts_at
from studio.inspect.sources import Drawn, by_source, ranked, shot_name, sources_of
from studio.inspect.story import StoryRow, story_of
from studio.inspect.tables import FORMATS
from studio.inspect.words import paragraph
from studio.store import projects, takes
from studio.store.artifacts import Artifacts
from studio.store.database import Database
from studio.store.model_identity import EMBEDDED, identify
from studio.store.takes import StoredTake

REMEDY: Final = EMBEDDED.parent / "remedy.json"
"""What `moc-studio eval remedy --save` found for the embedded model."""

MOST_DRAWN: Final = 12
"""How many sources are told of one part."""


@dataclass(frozen=True, kw_only=True)
class Story:
    """Shots × shots, as rows and as a Plotly figure."""

    rows: tuple[StoryRow, ...]
    figure: Figure


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which layer, group of heads and group of steps of a trace, from 0; None averages over them."""

    layer: int | None = None
    head: int | None = None
    group: int | None = None


@dataclass(frozen=True, kw_only=True)
class Chunks:
    """The chunk map of a take, and what can be chosen of it: names of layers, heads and groups of steps."""

    figure: Figure
    words: str
    query: tuple[str, ...]
    layers: tuple[str, ...]
    heads: tuple[str, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class DrawnState:
    """A source that something drew from.

    `shot` is the shot of the film that shows it now, `name` its chunk; `at` the second of its take to look
    at, `length` the take's, and `box` where it is in the picture then.
    """

    label: str
    kind: str
    name: str
    shot: str | None
    place: int | None
    take: str | None
    share: float
    picks: int
    at: float | None
    length: float | None
    box: Box | None
    steerable: bool
    column: int


@dataclass(frozen=True, kw_only=True)
class Looked:
    """What a part of a shot looked at, the strongest first. `own` is the share that stayed in the shot."""

    part: str
    query: int
    box: Box | None
    own: float
    drawn: tuple[DrawnState, ...]


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What can be pointed at in a moment of a take. `grid`: tokens lie as rows × columns over the picture."""

    parts: tuple[Part, ...]
    grid: tuple[int, int] | None


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What the right take drew more or less than the left; `shots` sums it up, the largest change first."""

    figure: Figure
    shots: tuple[tuple[str, float], ...]


@dataclass(frozen=True, kw_only=True)
class Drifted:
    """An appearance that looks different from what it should be: why, and what may mend it.

    `pin` is what to pin to the shot and `bans` what to ban, so that it remembers the right look alone; None
    where it could not see that.
    """

    shot: str
    place: int
    name: str
    distance: float
    reason: str
    pin: str | None
    bans: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """Whether cast and sets keep their looks. `helped`: how many looks were mended, of so many tried on.

    `by_features`: looks are those that the model's own features tell, not what the scene holds.
    """

    figure: Figure
    names: tuple[str, ...]
    drifted: tuple[Drifted, ...]
    unseen: int
    helped: tuple[int, int] | None
    by_features: bool


class Inspector:
    """Reads the traces of finished takes. Raises `NotThere` where a trace cannot be read, and says why."""

    def __init__(self, database: Database, artifacts: Artifacts) -> None:
        self._database = database
        self._artifacts = artifacts

    def story(self, project: str) -> Story:
        """Which shot remembered which, from what takes record: no trace is read."""
        known = self._known(project)
        rows = story_of(known.project, known.takes)
        return Story(rows=rows, figure=story_figure(rows))

    def shown(self, project: str) -> dict[int, StoredTake]:
        """The takes that the film shows, by place."""
        return self._shown(self._known(project))

    def captions(self, project: str) -> dict[str, str]:
        """The captions of all takes by id, shown or not."""
        return {name: take.caption for name, take in self._known(project).takes.items()}

    def chunks(
        self, project: str, take: str, choice: Choice, *, log: bool = False, source: str | None = None
    ) -> Chunks:
        """The parts of a take × what they could look at, or of that what the take `source` holds."""
        known = self._known(project)
        trace = self._trace(known, take)
        _check(choice, trace)
        sources = [s for s in sources_of(trace, known.places) if source in (None, s.take)]
        if not sources:
            raise NotThere("this take could not look at that one")
        shares = np.stack([_shares(trace, choice, query) for query in range(len(trace.query))])
        query = tuple(chunk.name for chunk in trace.query)
        return Chunks(
            figure=chunk_figure(query, sources, by_source(shares, sources), log=log),
            words=paragraph(trace, known.places),
            query=query,
            layers=tuple(f"layer {nth + 1}" for nth in range(len(trace.table))),
            heads=head_names(trace),
            groups=step_names(trace),
        )

    def looked(self, project: str, take: str, query: int, choice: Choice) -> Looked:
        """What one part of a take looked at."""
        known = self._known(project)
        trace = self._trace(known, take)
        _check(choice, trace)
        if not 0 <= query < len(trace.query):
            raise NotThere(f"this take has {len(trace.query)} parts, not {query + 1}")
        drawn = ranked(
            _shares(trace, choice, query),
            trace.counts(layer=choice.layer, head=choice.head, group=choice.group, query=query),
            sources_of(trace, known.places),
        )
        return self._looked(known, trace.query[query].name, query, None, drawn)

    def looked_at(self, project: str, take: str, seconds: float, x: float, y: float) -> Looked:
        """What the part at a point of the picture looked at; `x` and `y` are shares of width and height."""
        known = self._known(project)
        trace = self._trace(known, take)
        part = part_at(trace, seconds, x, y)
        if part is None:
            raise NotThere("the trace of this take does not say what is where in its picture")
        drawn = ranked(
            trace.token_map()[part.row],
            trace.counts(query=part.query),
            sources_of(trace, known.places),
        )
        return self._looked(known, part.name, part.query, part.box, drawn)

    def moment(self, project: str, take: str, seconds: float) -> Moment:
        """What can be pointed at in a moment of a take."""
        trace = self._trace(self._known(project), take)
        return Moment(parts=parts_at(trace, seconds), grid=trace.grid)

    def heat(self, project: str, take: str, seconds: float, column: int) -> list[list[float]]:
        """How much each token of a frame drew from the source at a column of the trace, 0–1, rows of the
        grid.
        """
        known = self._known(project)
        trace = self._trace(known, take)
        if trace.grid is None:
            raise NotThere("this take's tokens are objects, not a grid over the picture: there is no heat")
        columns = next((s.columns for s in sources_of(trace, known.places) if column in s.columns), None)
        if columns is None:
            raise NotThere(f"there is no chunk {column} in the trace of this take")
        return [[float(share) for share in row] for row in heat(trace, seconds, columns)]

    def heads(self, project: str, take: str) -> dict[str, Figure]:
        """Layers, heads and steps of a take, by title."""
        known = self._known(project)
        trace = self._trace(known, take)
        if not remembers(trace):
            raise NotThere("it saw no earlier shot: none of its heads could look back")
        return head_figures(heads_of(trace, known.places))

    def compare(self, project: str, left: str, right: str) -> Compared:
        """One take's routing against another's."""
        known = self._known(project)
        found = difference(self._trace(known, left), self._trace(known, right), known.places)
        return Compared(figure=difference_figure(found), shots=found.shots)

    def consistency(self, project: str) -> Consistency:
        """How far cast members and sets are from the look they should have, shot by shot.

        `unseen` counts takes whose trace says nothing of looks, or cannot be read.
        """
        known = self._known(project)
        scenes, unseen = [], 0
        for place, take in self._shown(known).items():
            cast = take.inputs.cast
            try:
                visible, seen = _sighted(self._artifacts.path(take.trace, ".moc"), cast)
            except TraceError:
                unseen += 1
                continue
            unseen += not seen
            told = frozenset(looks_told(take.caption, cast))
            scenes.append(
                Scene(
                    place=place,
                    take=take.id,
                    visible=visible,
                    seen=seen,
                    told=told,
                    model=take.inputs.model,
                )
            )
        drifts = drift_of(scenes)
        shots = known.project.board.shots
        return Consistency(
            figure=drift_figure(drifts, len(shots)),
            names=tuple(drift.name for drift in drifts),
            drifted=tuple(
                Drifted(
                    shot=shots[seen.place].id,
                    place=seen.place,
                    name=drift.name,
                    distance=seen.distance or 0.0,
                    reason=reason(
                        drift.name,
                        seen,
                        banned=_banned(known.takes[seen.take], drift, seen),
                    ),
                    pin=None if seen.share is None else _steered(shots[seen.anchor], drift.name, seen),
                    bans=tuple(
                        _steered(shots[place], drift.name, seen)
                        for place in (drift.misleading(seen) if seen.part else ())
                    ),
                )
                for drift in drifts
                for seen in drift.appearances
                if seen.drifted
            ),
            unseen=unseen,
            helped=_measured(known.project),
            by_features=any(not seen.part for drift in drifts for seen in drift.appearances),
        )

    def table(self, project: str, take: str, kind: str) -> bytes:
        """A take's trace as csv, npz or parquet."""
        if kind not in FORMATS:
            raise NotThere(f"there is no table of the kind {kind}")
        return FORMATS[kind](self._trace(self._known(project), take))

    def page(self, project: str, take: str | None = None) -> str:
        """A standalone HTML page: the story map, and the maps of one take."""
        known = self._known(project)
        figures = {"Which shot remembered which": story_figure(story_of(known.project, known.takes))}
        title, words = known.project.board.title, ""
        if take is not None:
            trace = self._trace(known, take)
            figures |= take_figures(trace, known.places)
            title, words = f"{title}, {shot_name(known.places.get(take))}", paragraph(trace, known.places)
        return standalone(title, figures, words)

    def file_name(self, project: str, take: str | None, ending: str) -> str:
        """What a saved table or page is called: "the-red-kite-shot-3-routing.csv"."""
        known = self._known(project)
        place = known.places.get(take or "")
        shot = f"-shot-{place + 1}" if place is not None else f"-{take[:8]}" if take else ""
        return f"{slug(known.project.board.title)}{shot}-routing.{ending}"

    def _known(self, project: str) -> _Known:
        with self._database.read() as session:
            stored = projects.load(session, project).project
            known = takes.takes_of(session, project)
        return _Known(project=stored, takes=known, places=first_places(stored, known))

    def _shown(self, known: _Known) -> dict[int, StoredTake]:
        return {
            place: known.takes[take.id]
            for place, shot in enumerate(known.project.board.shots)
            if not shot.skip and (take := chosen_take(known.project, known.takes, shot.id)) is not None
        }

    def _trace(self, known: _Known, take: str) -> RoutingTrace:
        if take not in known.takes:
            raise NotThere("that take is not there any more")
        path = self._artifacts.path(known.takes[take].trace, ".moc")
        try:
            return _load(path)
        except TraceError as error:
            words = str(error).replace(str(path), "the routing trace of this take")
            raise NotThere(words[:1].upper() + words[1:]) from error

    def _looked(
        self, known: _Known, part: str, query: int, box: Box | None, drawn: Collection[Drawn]
    ) -> Looked:
        own = sum(item.share for item in drawn if item.source.kind == "own")
        shown = [item for item in drawn if item.source.kind != "own"][:MOST_DRAWN]
        return Looked(
            part=part,
            query=query,
            box=box,
            own=own,
            drawn=tuple(self._drawn(known, item) for item in shown),
        )

    def _drawn(self, known: _Known, item: Drawn) -> DrawnState:
        source = item.source
        take = known.takes.get(source.take or "")
        at, box = None, None
        if take is not None and source.frames is not None:
            frame = (source.frames[0] + source.frames[1] - 1) // 2
            try:
                trace = self._trace(known, take.id)
                at = trace.moments[frame] if frame < len(trace.moments) else None
                box = box_of(trace, source.name, frame)
            except NotThere:
                pass  # the list stands without the picture's details
        shot = None if source.place is None else known.project.board.shots[source.place].id
        return DrawnState(
            label=source.label,
            kind=source.kind,
            name=source.name,
            shot=shot,
            place=source.place,
            take=source.take,
            share=item.share,
            picks=item.picks,
            at=at,
            length=None if take is None else take.seconds,
            box=box,
            steerable=source.steerable,
            column=source.columns[0],
        )


@dataclass(frozen=True, kw_only=True)
class _Known:
    """A project, its takes, and where each chosen one stands in the film."""

    project: Project
    takes: Mapping[str, StoredTake]
    places: Mapping[str, int]


def _banned(take: StoredTake, drift: Drift, seen: Appearance) -> bool:
    """Whether a take was not to look at the appearance that decides a look."""
    right = {other.take for other in drift.appearances if other.place == seen.anchor}
    return any(name in take.inputs.bans for other in right for name in (other, f"{other}/{drift.name}"))


def _steered(shot: Shot, name: str, seen: Appearance) -> str:
    """What to pin or ban of a shot: somebody in it, or all of it where the model knows no parts."""
    return f"{shot.id}/{name}" if seen.part else shot.id


def _measured(project: Project) -> tuple[int, int] | None:
    """How many drifted looks were mended of so many, as `moc-studio eval remedy` found for the model."""
    if project.board.settings.model is not None or not REMEDY.is_file():
        return None
    found = json.loads(REMEDY.read_text())
    return (found["helped"], found["tried"]) if found["model"] == _embedded() else None


@cache
def _embedded() -> str:
    return identify(None)


@lru_cache(maxsize=1024)
def _sighted(path: Path, cast: tuple[str, ...]) -> tuple[float, tuple[Sighting, ...]]:
    """What a trace says of looks, which is little beside the trace: a film's worth is kept."""
    trace = RoutingTrace.load(path)
    return trace.visible, sightings(trace, cast)


@lru_cache(maxsize=16)
def _load(path: Path) -> RoutingTrace:
    """Files are named by their content: what was read once stays true."""
    return RoutingTrace.load(path)


def _shares(trace: RoutingTrace, choice: Choice, query: int) -> Any:
    return trace.shares(layer=choice.layer, head=choice.head, group=choice.group, query=query)


def _check(choice: Choice, trace: RoutingTrace) -> None:
    sizes = trace.table.shape[:3]
    for name, value, size in zip(
        ("layer", "head", "group"), (choice.layer, choice.head, choice.group), sizes, strict=True
    ):
        if value is not None and not 0 <= value < size:
            raise WrongUse(f"{name}: this take has {size}, counted from 0, got {value}")
