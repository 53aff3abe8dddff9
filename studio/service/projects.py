"""The list of projects; creating, importing, copying and binning them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from studio.domain.named_pictures import picture_digests
from studio.domain.planner import chosen_take, wanted_seed
from studio.domain.project import Project, ProjectSummary
from studio.domain.storyboard import Storyboard
from studio.exchange.yaml_reader import parse_storyboard
from studio.exchange.yaml_writer import write_storyboard
from studio.jobs import queue
from studio.service.models import Models
from studio.service.pinned_names import pinned_board
from studio.service.project_states import ProjectStates
from studio.service.state import ProjectState
from studio.store import picture_rows, projects, takes
from studio.store.database import Database
from studio.store.takes import StoredTake


class Projects:
    """The projects of a studio. Every method that names a project raises `NotThere` if there is none."""

    def __init__(
        self, database: Database, models: Models, states: ProjectStates, clock: Callable[[], float]
    ) -> None:
        self._database = database
        self._models = models
        self._states = states
        self._clock = clock

    def all(self) -> list[ProjectSummary]:
        """All projects, the one opened last first; those in the bin are included."""
        with self._database.read() as session:
            return projects.listed(session)

    def state(self, project: str) -> ProjectState:
        """The project with its shots, takes and reasons to render."""
        return self._states.of(project)

    def storyboard(self, project: str) -> Storyboard:
        """The project's storyboard."""
        with self._database.read() as session:
            return projects.project_of(session, project).board

    def revised_storyboard(self, project: str) -> tuple[Storyboard, int]:
        """The project's storyboard, and the revision at which it is so."""
        with self._database.read() as session:
            stored = projects.load(session, project)
        return stored.project.board, stored.revision

    def create(self, board: Storyboard) -> str:
        """Makes a project of a storyboard; returns its id."""
        with self._database.write() as session:
            return projects.create(session, Project(board=pinned_board(board)), self._clock())

    def import_yaml(self, text: str, name: str = "storyboard.yaml") -> str:
        """Makes a project of a YAML storyboard; returns its id. Raises `BadStoryboard`, naming the line.

        Pictures that it names by digest are the project's too where this studio has them.
        """
        board = parse_storyboard(text, name)
        with self._database.write() as session:
            project = projects.create(session, Project(board=board), self._clock())
            picture_rows.keep_known(session, project, picture_digests(board), self._clock())
        return project

    def export_yaml(self, project: str) -> str:
        """The storyboard as YAML, with the seeds of takes that were rendered with another seed."""
        with self._database.read() as session:
            found, known = projects.project_of(session, project), takes.takes_of(session, project)
        shots = [
            replace(shot, seed=seed) if (seed := _rerolled_seed(found, known, index)) is not None else shot
            for index, shot in enumerate(found.board.shots)
        ]
        return write_storyboard(replace(found.board, shots=tuple(shots)))

    def open(self, project: str) -> None:
        """Records that a project was opened: the latest is shown again after a restart.

        Queues the reading of its model where that takes long.
        """
        with self._database.write(project=project) as session:
            projects.opened(session, project, self._clock())
            found = projects.project_of(session, project)
            queue.enqueue(session, None, self._models.unread(found))

    def duplicate(self, project: str) -> str:
        """Copies a project with all takes, but without its undo history; returns the copy's id."""
        with self._database.write() as session:
            old = projects.project_of(session, project)
            board = replace(old.board, title=f"{old.board.title} (copy)"[:200])
            new = projects.create(session, replace(old, board=board), self._clock())
            for take in takes.takes_of(session, project).values():
                takes.keep(session, new, take)
            for number, digest in enumerate(picture_rows.pictures_of(session, project)):
                picture_rows.keep(session, new, digest, self._clock() + number * 1e-6)
            for shot, strip in takes.strips_of(session, project).items():
                for number, take_id in enumerate(strip):
                    projects.add_to_strip(session, new, shot, take_id, self._clock() + number * 1e-6)
            return new

    def trash(self, project: str) -> None:
        """Puts a project into the bin and cancels its jobs."""
        with self._database.write() as session:
            projects.set_trashed(session, project, self._clock())
            for job in queue.jobs_of(session, project):
                queue.cancel(session, job.id)

    def recover(self, project: str) -> None:
        """Takes a project out of the bin."""
        with self._database.write() as session:
            projects.set_trashed(session, project, None)


def _rerolled_seed(project: Project, known: Mapping[str, StoredTake], index: int) -> int | None:
    """The seed of a shot's chosen take; None where it is the one that the shot asks for."""
    take = chosen_take(project, known, project.board.shots[index].id)
    seed = wanted_seed(project.board, index, take)
    return None if seed == wanted_seed(project.board, index, None) else seed
