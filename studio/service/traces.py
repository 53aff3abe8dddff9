"""Reads the routing traces of a project's takes, and keeps those read last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from moc_engine.errors import TraceError
from moc_engine.stored_file import StoredFile
from moc_engine.trace.drift import Sighting, sightings
from moc_engine.trace.record import RoutingTrace
from moc_engine.trace.trace_file import read_trace
from studio.domain.errors import NotThere, WrongUse
from studio.domain.messages import message
from studio.domain.planner import chosen_take, first_indices
from studio.domain.project import Lane, Project
from studio.store import projects, takes
from studio.store.artifacts import Artifacts
from studio.store.database import Database
from studio.store.takes import StoredTake


@dataclass(frozen=True, kw_only=True)
class RenderedProject:
    """A project, its takes, and the index of the shot that shows each chosen take."""

    project: Project
    takes: Mapping[str, StoredTake]
    indices: Mapping[str, int]

    @property
    def renamed(self) -> dict[str, str]:
        """Ids of today by the ids that takes had with earlier versions: traces may name them so."""
        return {former: take.id for take in self.takes.values() for former in take.former_ids}

    def shown(self, lane: Lane | None = None) -> dict[int, StoredTake]:
        """The chosen takes of a lane, by index of the shot: of the one worked in where None.

        Raises `Refused` for drafts of a project that has none.
        """
        project = self.project.switched_to(lane or self.project.lane)
        return {
            index: self.takes[take.id]
            for index, shot in enumerate(project.board.shots)
            if not shot.skip and (take := chosen_take(project, self.takes, shot.id)) is not None
        }


@dataclass(frozen=True, kw_only=True)
class TraceSlice:
    """Which layer, group of heads and group of steps of a trace, from 0; None averages over them."""

    layer: int | None = None
    head: int | None = None
    group: int | None = None

    def check(self, trace: RoutingTrace) -> None:
        """Raises `WrongUse` for what the trace does not have."""
        sizes = trace.table.shape[:3]
        for name, value, size in zip(
            ("layer", "head", "group"), (self.layer, self.head, self.group), sizes, strict=True
        ):
            if value is not None and not 0 <= value < size:
                raise WrongUse(message("slice-out-of-range", name=name, size=size, value=value))

    def shares(self, trace: RoutingTrace, query: int) -> Any:
        """The share of a query chunk's attention that went to each chunk."""
        return trace.shares(layer=self.layer, head=self.head, group=self.group, query=query)

    def counts(self, trace: RoutingTrace, query: int) -> Any:
        """How often a query chunk selected each chunk."""
        return trace.counts(layer=self.layer, head=self.head, group=self.group, query=query)


class Traces:
    """The traces of finished takes."""

    def __init__(self, database: Database, artifacts: Artifacts) -> None:
        self._database = database
        self._artifacts = artifacts

    def project(self, project: str) -> RenderedProject:
        """A project with its takes. Raises `NotThere`."""
        with self._database.read() as session:
            stored = projects.load(session, project).project
            known = takes.takes_of(session, project)
        return RenderedProject(project=stored, takes=known, indices=first_indices(stored, known))

    def trace(self, known: RenderedProject, take: str) -> RoutingTrace:
        """The trace of a take. Raises `NotThere` if it cannot be read, and says why."""
        if take not in known.takes:
            raise NotThere(message("take-not-found"))
        file = self._file(known.takes[take])
        try:
            return _load(file).with_take_ids(known.renamed)
        except TraceError as error:
            words = str(error).replace(str(file), "the routing trace of this take")
            raise NotThere(message("trace-unreadable", problem=words[:1].upper() + words[1:])) from error

    def sightings(self, known: RenderedProject, take: StoredTake) -> tuple[float, tuple[Sighting, ...]]:
        """The threshold of visibility, and what the trace says of looks. Raises `TraceError`."""
        return _sightings(self._file(take), take.inputs.cast, tuple(known.renamed.items()))

    def is_full(self, take: StoredTake) -> bool:
        """Whether the take attended in full, without routing; not where its trace cannot be read."""
        try:
            return _is_full(self._file(take))
        except TraceError:
            return False

    def _file(self, take: StoredTake) -> StoredFile:
        return self._artifacts.file(take.trace, ".moc")


@lru_cache(maxsize=1024)
def _sightings(
    file: StoredFile, cast: tuple[str, ...], renamed: tuple[tuple[str, str], ...]
) -> tuple[float, tuple[Sighting, ...]]:
    """Small beside a trace: those of a whole film are kept."""
    trace = read_trace(file).with_take_ids(dict(renamed))
    return trace.visible, sightings(trace, cast)


@lru_cache(maxsize=1024)
def _is_full(file: StoredFile) -> bool:
    return bool(read_trace(file).routing.get("full_attention"))


@lru_cache(maxsize=16)
def _load(file: StoredFile) -> RoutingTrace:
    """Files are named by their content, so a trace never changes."""
    return read_trace(file)
