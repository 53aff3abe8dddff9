"""Edits of a project, undo and redo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from sqlalchemy.orm import Session

from studio.domain.edits.edit import Edit
from studio.domain.edits.replacement import ReplaceStoryboard
from studio.domain.edits.restore import Restore
from studio.domain.planner import ShotStatus
from studio.domain.project import Project
from studio.domain.storyboard import Storyboard
from studio.jobs import queue
from studio.service.models import Models
from studio.service.pinned_names import pinned_board, pinned_edit
from studio.service.project_states import ProjectStates
from studio.service.state import ProjectState, UnknownSpan, unknown_spans
from studio.store import picture_rows, projects, takes
from studio.store.database import Database
from studio.store.inferred_cast import with_inferred_cast
from studio.store.projects import Stored
from studio.store.takes import StoredTake

MOST_TEXT: Final = 2000
"""Characters of a text whose words are looked up."""


class Editing:
    """Changes projects. Raises `NotThere` if the project is gone, and `Refused` if it is in the bin."""

    def __init__(
        self, database: Database, models: Models, states: ProjectStates, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._models = models
        self._states = states
        self._clock = clock

    def edit(self, project: str, edit: Edit, base: int) -> ProjectState:
        """Applies an edit that was made looking at revision `base`; returns the project afterwards.

        Raises `StaleRevision` if the project was changed since then, and `Refused` for a LoRA that cannot
        be added to the model; nothing is changed in that case.
        """

        def apply(session: Session, known: dict[str, StoredTake]) -> None:
            before = projects.project_of(session, project)
            whole = self._models.with_abilities(pinned_edit(edit), before, known)
            projects.apply(session, project, whole, known, base=base, now=self._clock())
            if not isinstance(edit, Restore):  # a take's own settings come back, whatever became of files
                self._models.check_loras(before, projects.project_of(session, project))

        return self._changed(project, apply)

    def replace_storyboard(self, project: str, board: Storyboard) -> frozenset[str]:
        """Replaces the storyboard; its shots keep the takes of the shots they match.

        Shots whose settings ask for another existing take get that one; returns the ids of those.
        """

        def replace(session: Session) -> dict[str, str]:
            stored, known = projects.load(session, project), takes.takes_of(session, project)
            edit, now = ReplaceStoryboard(board=pinned_board(board)), self._clock()
            projects.apply(session, project, edit, known, base=stored.revision, now=now)
            replaced = projects.project_of(session, project)
            chosen = self._models.with_existing_takes(replaced, known)
            returned = {
                shot: take for shot, take in chosen.items() if replaced.current.get(shot) not in (None, take)
            }
            for shot, take in chosen.items():
                if replaced.current.get(shot) != take:
                    projects.choose(session, project, shot, take, replaced.lane)
                projects.add_to_strip(session, project, shot, take, now)
            return returned

        return frozenset(self._database.transact(replace, project=project))

    def undo(self, project: str, base: int) -> ProjectState:
        """Undoes the last edit. Raises as `edit` does, and `Refused` if there is none."""
        return self._changed(
            project, lambda session, _: projects.undo(session, project, base=base, now=self._clock())
        )

    def redo(self, project: str, base: int) -> ProjectState:
        """Applies the edit again that was undone last. Raises as `undo` does."""
        return self._changed(
            project, lambda session, _: projects.redo(session, project, base=base, now=self._clock())
        )

    def unknown_words(self, project: str, text: str) -> tuple[UnknownSpan, ...]:
        """The words of a text that the project's model does not know."""
        with self._database.read() as session:
            known = projects.project_of(session, project)
        if not self._models.of(known).known_words_only:
            return ()
        return unknown_spans(with_inferred_cast(known, text), text[:MOST_TEXT])

    def _changed(
        self, project: str, change: Callable[[Session, dict[str, StoredTake]], object]
    ) -> ProjectState:
        """The project after a change."""

        def changed(session: Session) -> Callable[[], ProjectState]:
            projects.refuse_trashed(session, project)
            before, known = projects.project_of(session, project), takes.takes_of(session, project)
            change(session, known)
            stored, statuses = self._choose_earlier_takes(session, project, before, known)
            strips, kept = takes.strips_of(session, project), picture_rows.pictures_of(session, project)
            if stored.project.settings.model != before.settings.model:
                queue.enqueue(session, None, self._models.unread(stored.project))
            return lambda: self._states.make(stored, known, strips, kept, statuses)

        return self._database.transact(changed, project=project)()

    def _choose_earlier_takes(
        self, session: Session, project: str, before: Project, known: dict[str, StoredTake]
    ) -> tuple[Stored, tuple[ShotStatus, ...]]:
        """Chooses existing takes for shots whose settings match them now, and did not `before`."""
        asked: dict[str, str] | None = None
        while True:
            stored = projects.load(session, project)
            statuses = self._models.statuses(stored.project, known)
            made = list(_existing_takes(stored.project, known, statuses))
            if made and asked is None:  # seldom, and as much work as all the rest
                asked = {s.shot: s.inputs.take_id for s in self._models.statuses(before, known)}
            back = [(shot, take) for shot, take in made if asked and asked.get(shot, take) != take]
            if not back:
                return stored, statuses
            projects.choose(session, project, *back[0], stored.project.lane)


def _existing_takes(
    project: Project, known: Mapping[str, StoredTake], statuses: Iterable[ShotStatus]
) -> Iterator[tuple[str, str]]:
    """Shots whose chosen take does not match their settings, and the existing take that does."""
    for status in statuses:
        if status.state in ("outdated", "missing") and not project.board.shots[status.index].lock:
            wanted = status.inputs.take_id
            if wanted in known and wanted != status.take and wanted not in project.discarded:
                yield status.shot, wanted
