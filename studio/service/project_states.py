"""Builds the states of projects that views show, and caches the latest."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from studio.domain.planner import ShotStatus
from studio.service.models import Model, Models
from studio.service.state import ProjectState, project_state, stamp_of
from studio.store import picture_rows, projects, takes
from studio.store.database import Database
from studio.store.projects import Stored
from studio.store.takes import StoredTake

MOST_STATES: Final = 16
"""Projects whose state is kept."""


class ProjectStates:
    """A cache of project states: several tabs look at one project, and ask often."""

    def __init__(self, database: Database, models: Models) -> None:
        self._database = database
        self._models = models
        self._states: dict[str, tuple[Model, ProjectState]] = {}

    def of(self, project: str) -> ProjectState:
        """The state of a project. Raises `NotThere`."""
        with self._database.read() as session:
            stored, strips = projects.load(session, project), takes.strips_of(session, project)
            model, last = self._states.get(project, (None, None))
            now = self._models.of(stored.project)
            if last and (model, last.stamp) == (now, stamp_of(stored, strips, now)):
                return last
            known, kept = takes.takes_of(session, project), picture_rows.pictures_of(session, project)
        return self.make(stored, known, strips, kept, self._models.statuses(stored.project, known))

    def make(
        self,
        stored: Stored,
        known: Mapping[str, StoredTake],
        strips: Mapping[str, Sequence[str]],
        kept: Collection[str],
        statuses: Sequence[ShotStatus],
    ) -> ProjectState:
        """The state of a project that was just read or written; `kept` are the digests of its pictures."""
        model = self._models.of(stored.project)
        state = project_state(stored, known, strips, kept, statuses, model)
        self._states.pop(stored.id, None)
        while len(self._states) >= MOST_STATES:
            self._states.pop(next(iter(self._states)), None)
        self._states[stored.id] = model, state
        return state
