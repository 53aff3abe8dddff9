"""The one door to a studio: everything a view, a route or a command can do, each call whole by itself."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError
from sqlalchemy.orm import Session

from moc_engine.errors import EngineError
from moc_engine.files import scratch_folder
from studio.domain.edits import Edit
from studio.domain.errors import BadBundle, BadStoryboard, NotThere, Refused
from studio.domain.file_names import slug
from studio.domain.planner import ShotStatus, chosen_take, shot_statuses, wanted_seed
from studio.domain.project import Listed, Project
from studio.domain.storyboard import MAX_SEED, Storyboard
from studio.exchange.bundle import read_bundle, write_bundle
from studio.exchange.cut import EXPORTS, cut, write_export
from studio.exchange.yaml import parse_storyboard, write_storyboard
from studio.jobs import queue
from studio.jobs.estimate import measured
from studio.jobs.job import Job, Order
from studio.service.inspector import Inspector
from studio.service.state import (
    JobState,
    ProjectState,
    UnknownSpan,
    expected,
    job_state,
    job_states,
    project_state,
    stamp_of,
    unknown_spans,
)
from studio.store import projects, takes
from studio.store.artifacts import Artifacts
from studio.store.casting import with_inferred_cast
from studio.store.database import Database
from studio.store.documents import from_document, to_document
from studio.store.model_identity import ANIMATIC, family, identify
from studio.store.os_errors import os_errors_as_studio_errors
from studio.store.projects import Stored
from studio.store.takes import StoredTake
from studio.store.upgrade import back_up

Scope = Literal["due", "all"]

MEDIA: Final = {"clip": ".mp4", "latents": ".safetensors", "trace": ".moc", "thumbnail": ".jpg"}
"""The files of a take, and what they end in."""

BUNDLE: Final = "project.mocz"
_ENDINGS: Final = {
    "film.mp4": ".mp4",
    "subtitles.srt": ".srt",
    "captions.vtt": ".vtt",
    "contact-sheet.png": "-contact-sheet.png",
    BUNDLE: ".mocz",
}

MOST_STATES: Final = 16
"""Projects whose state is kept at hand."""

MOST_VARIATIONS: Final = 8
MOST_TEXT: Final = 2000


@dataclass(frozen=True, kw_only=True)
class PlannedRender:
    """A shot that would be rendered: why, and how many seconds it should take."""

    shot: str
    place: int
    reasons: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Queue:
    """The queue as views show it."""

    paused: bool
    jobs: tuple[JobState, ...]


@dataclass(frozen=True, kw_only=True)
class Pulse:
    """What a page asks for again and again: the queue, and what changes whenever its project does."""

    stamp: str
    queue: Queue


class Service:
    """A studio's folder, opened. Raises `StudioError`s; the message is for the person who asked."""

    def __init__(self, root: Path, database: Database, clock: Callable[[], float] = time.time) -> None:
        self.root = root
        self.artifacts = Artifacts(root)
        self._database = database
        self._clock = clock
        self._models: dict[str | None, tuple[str, bool]] = {}
        self._states: dict[str, tuple[tuple[str, bool], ProjectState]] = {}
        self.routing = Inspector(database, self.artifacts)

    # projects

    def projects(self) -> list[Listed]:
        """All projects, the one opened last first, those in the bin included."""
        with self._database.read() as session:
            return projects.listed(session)

    def create(self, board: Storyboard) -> str:
        """A new project of a storyboard; returns its id."""
        with self._database.write() as session:
            return projects.create(session, Project(board=board), self._clock())

    def import_yaml(self, text: str, name: str = "storyboard.yaml") -> str:
        """A new project of a storyboard in YAML; returns its id. Raises `BadStoryboard`, naming the line."""
        return self.create(parse_storyboard(text, name))

    def export_yaml(self, project: str) -> str:
        """The storyboard as YAML that a person can write, with the seeds of takes that were rolled anew."""
        with self._database.read() as session:
            found, known = projects.project_of(session, project), takes.takes_of(session, project)
        shots = [
            replace(shot, seed=seed) if (seed := _rolled(found, known, place)) is not None else shot
            for place, shot in enumerate(found.board.shots)
        ]
        return write_storyboard(replace(found.board, shots=tuple(shots)))

    def open(self, project: str) -> None:
        """Notes that a project was opened: it is the one that is open after a restart."""
        with self._database.write() as session:
            projects.opened(session, project, self._clock())

    def duplicate(self, project: str) -> str:
        """A copy with all takes, but without the past edits; returns its id."""
        with self._database.write() as session:
            old = projects.project_of(session, project)
            board = replace(old.board, title=f"{old.board.title} (copy)"[:200])
            new = projects.create(session, replace(old, board=board), self._clock())
            for take in takes.takes_of(session, project).values():
                takes.keep(session, new, take)
            for shot, strip in takes.strips_of(session, project).items():
                for number, take_id in enumerate(strip):
                    projects.add_to_strip(session, new, shot, take_id, self._clock() + number * 1e-6)
            return new

    def trash(self, project: str) -> None:
        """Puts a project into the bin; its waiting jobs are cancelled."""
        with self._database.write() as session:
            projects.set_trashed(session, project, self._clock())
            for job in queue.jobs_of(session, project):
                queue.cancel(session, job.id, self._clock())

    def recover(self, project: str) -> None:
        """Takes a project out of the bin."""
        with self._database.write() as session:
            projects.set_trashed(session, project, None)

    def storyboard(self, project: str) -> Storyboard:
        with self._database.read() as session:
            return projects.project_of(session, project).board

    # editing

    def state(self, project: str) -> ProjectState:
        """The project as it is."""
        with self._database.read() as session:
            stored, strips = projects.load(session, project), takes.strips_of(session, project)
            model, last = self._states.get(project, (None, None))
            if last and (model, last.stamp) == (self._model(stored.project), stamp_of(stored, strips)):
                return last
            known = takes.takes_of(session, project)
        return self._shown(stored, known, strips, self._statuses(stored.project, known))

    def edit(self, project: str, edit: Edit, base: int) -> ProjectState:
        """Carries out an edit that was made looking at revision `base`; returns the project as it is then.

        Raises `StaleRevision` where it was changed meanwhile: nothing is done then.
        """
        return self._changed(
            project,
            lambda session, known: projects.apply(
                session, project, edit, known, base=base, now=self._clock()
            ),
        )

    def undo(self, project: str, base: int) -> ProjectState:
        """Takes the last edit back; raises as `edit` does, and `Refused` where there is none."""
        return self._changed(
            project, lambda session, _: projects.undo(session, project, base=base, now=self._clock())
        )

    def redo(self, project: str, base: int) -> ProjectState:
        """Makes the edit again that was taken back last; raises as `undo` does."""
        return self._changed(
            project, lambda session, _: projects.redo(session, project, base=base, now=self._clock())
        )

    def _changed(
        self, project: str, change: Callable[[Session, dict[str, StoredTake]], object]
    ) -> ProjectState:
        """The project after a change; shots that ask for an earlier take of theirs again are back at it."""
        with self._database.write() as session:
            before, known = projects.project_of(session, project), takes.takes_of(session, project)
            change(session, known)
            stored, statuses = self._back_at_takes(session, project, before, known)
            strips = takes.strips_of(session, project)
        return self._shown(stored, known, strips, statuses)

    def _back_at_takes(
        self, session: Session, project: str, before: Project, known: dict[str, StoredTake]
    ) -> tuple[Stored, tuple[ShotStatus, ...]]:
        """Lets takes stand for shots that ask for them by now, and did not `before`; the project then."""
        asked: dict[str, str] | None = None
        while True:
            stored = projects.load(session, project)
            statuses = self._statuses(stored.project, known)
            made = list(_made_already(stored.project, known, statuses))
            if made and asked is None:  # seldom, and as much work as all the rest
                asked = {status.shot: status.inputs.take_id for status in self._statuses(before, known)}
            back = [(shot, take) for shot, take in made if asked and asked.get(shot, take) != take]
            if not back:
                return stored, statuses
            projects.choose(session, project, *back[0])

    def _shown(
        self,
        stored: Stored,
        known: dict[str, StoredTake],
        strips: dict[str, list[str]],
        statuses: tuple[ShotStatus, ...],
    ) -> ProjectState:
        model = self._model(stored.project)
        state = project_state(stored, known, strips, statuses, knows_words=model[1])
        self._states.pop(stored.id, None)
        while len(self._states) >= MOST_STATES:
            self._states.pop(next(iter(self._states)), None)
        self._states[stored.id] = model, state  # for the other tabs that look at it
        return state

    # rendering

    def plan(self, project: str, scope: Scope | Collection[str] = "due") -> tuple[PlannedRender, ...]:
        """The shots a render would make: those that are due, all, or shots by id.

        Locked and skipped shots, and those without a caption, are never part of it.
        """
        with self._database.read() as session:
            found, known = projects.project_of(session, project), takes.takes_of(session, project)
        rates = measured(known.values())
        return tuple(
            PlannedRender(
                shot=status.shot,
                place=status.place,
                reasons=status.reasons or ("asked for",),
                seconds=expected(rates, status),
            )
            for status, shot in zip(self._statuses(found, known), found.board.shots, strict=True)
            if shot.caption and not shot.lock and not shot.skip and _wanted(status, scope)
        )

    def render(self, project: str, scope: Scope | Collection[str] = "due") -> list[int]:
        """Queues what `plan` says; returns the jobs. Raises `Refused` where there is nothing to render."""
        orders = [
            Order(shot=item.shot, reason="; ".join(item.reasons), seconds=item.seconds)
            for item in self.plan(project, scope)
        ]
        if not orders:
            raise Refused(_nothing(self.storyboard(project), scope))
        with self._database.write() as session:
            return queue.enqueue(session, project, orders, self._clock())

    def roll(self, project: str, shot: str, *, count: int = 1, seed: int | None = None) -> list[int]:
        """Queues `count` takes of a shot with new seeds, which see what its chosen take saw.

        One becomes the chosen take; several are to choose from.
        """
        if not 1 <= count <= MOST_VARIATIONS:
            raise Refused(f"1 to {MOST_VARIATIONS} takes at once, got {count}")
        if seed is not None and not 0 <= seed <= MAX_SEED:
            raise Refused(f"a seed is a whole number from 0 to {MAX_SEED}, got {seed}")
        seconds = {item.shot: item.seconds for item in self.plan(project, (shot,))}
        if shot not in seconds:
            raise Refused("this shot cannot be rendered: it is locked, skipped or without a caption")
        seeds = [seed] if seed is not None else [secrets.randbelow(2**31) for _ in range(count)]
        orders = [
            Order(
                shot=shot,
                reason="another seed",
                seconds=seconds[shot],
                seed=own,
                keep_context=True,
                replace=count == 1,
            )
            for own in seeds
        ]
        with self._database.write() as session:
            return queue.enqueue(session, project, orders, self._clock())

    def queue(self) -> Queue:
        """Everything that runs, waits or ended lately, of all projects."""
        with self._database.read() as session:
            return _queue(session)

    def pulse(self, project: str) -> Pulse:
        """The queue, and a stamp that changes with the project: what a page asks for again and again."""
        with self._database.read() as session:
            stamp = stamp_of(projects.load(session, project), takes.strips_of(session, project))
            return Pulse(stamp=stamp, queue=_queue(session))

    def unknown_words(self, project: str, text: str) -> tuple[UnknownSpan, ...]:
        """The words of a text that the project's model would not read."""
        with self._database.read() as session:
            known = projects.project_of(session, project)
        typed = with_inferred_cast(known, text)
        return unknown_spans(typed, text[:MOST_TEXT]) if self._model(known)[1] else ()

    def jobs(self, jobs: Collection[int]) -> list[JobState]:
        """How these jobs stand."""
        with self._database.read() as session:
            there = [job for job in queue.jobs_of(session) if job.id in jobs]
            known = _projects_of(session, there)
        return [job_state(job, known[job.project]) for job in there]

    def cancel(self, job: int) -> None:
        with self._database.write() as session:
            queue.cancel(session, job, self._clock())

    def retry(self, job: int) -> None:
        with self._database.write() as session:
            queue.retry(session, job)

    def move_job(self, job: int, before: int | None) -> None:
        """Lets a waiting job run before another, or last where None."""
        with self._database.write() as session:
            queue.move(session, job, before)

    def pause(self, paused: bool) -> None:
        """Lets the queue hand out nothing more, or go on."""
        with self._database.write() as session:
            queue.set_paused(session, paused)

    def clear_queue(self) -> None:
        """Forgets the jobs that ended."""
        with self._database.write() as session:
            queue.clear(session)

    def preview(self, job: int) -> bytes:
        """The latest preview picture of a running job, PNG. Raises `NotThere`."""
        with self._database.read() as session:
            picture = queue.preview(session, job)
        if picture is None:
            raise NotThere("there is no picture of that job")
        return picture

    def worker_died(self, worker: str) -> None:
        """Lets what a dead worker was at wait again, or sets it aside."""
        with self._database.write() as session:
            queue.worker_died(session, worker, self._clock())

    def worker_is_silent(self, worker: str) -> bool:
        """Whether a worker is at a job and gave no sign of life for longer than it may."""
        with self._database.read() as session:
            return queue.is_silent(session, worker, self._clock())

    # files

    def media(self, project: str, take: str, kind: str) -> Path:
        """A file of a take: clip, latents, trace or thumbnail. Raises `NotThere`."""
        with self._database.read() as session:
            known = takes.take_of(session, project, take)
        if known is None or kind not in MEDIA:
            raise NotThere("that file is not there any more")
        path = self.artifacts.path(getattr(known, kind), MEDIA[kind])
        if path.is_symlink() or not path.is_file():
            raise NotThere(f"the {kind} of this take is missing from the studio's folder")
        return path

    def export(self, project: str, kind: str) -> Path:
        """Makes a file of the cut, one of `cut.EXPORTS`, or "project.mocz"; returns where it lies.

        Raises `NotThere` for another kind, and `Refused` where shots have no take yet.
        """
        if kind not in (*EXPORTS, BUNDLE):
            raise NotThere(f"there is no export called {kind}")
        with self._database.read() as session:
            stored, known = projects.load(session, project), takes.takes_of(session, project)
            rows = takes.record_of(session, project)
        board = stored.project.board
        folder = self.root / "exports" / project
        target = folder / f"{slug(board.title)}{_ENDINGS[kind]}"
        with os_errors_as_studio_errors(self.root):
            folder.mkdir(parents=True, exist_ok=True)
            if kind == BUNDLE:
                record = {"project": dict(to_document(stored.project)), **rows}
                write_bundle(target, record, self._files(known.values()))
            else:
                write_export(kind, board.title, cut(stored.project, known, self.artifacts), target)
        return target

    def import_bundle(self, bundle: Path) -> str:
        """A new project out of a bundle; returns its id. Raises `BadBundle`."""
        with os_errors_as_studio_errors(self.root), scratch_folder(self.root / "scratch") as folder:
            record, files = read_bundle(bundle, folder)
            project, known, strips = _from_record(record, {file.name for file in files})
            artifacts = [self.artifacts.put(file) for file in files]
        with self._database.write() as session:
            takes.keep_artifacts(session, artifacts, self._clock())
            name = projects.create(session, project, self._clock())
            for take in known:
                takes.keep(session, name, take)
            for shot, take_id, added in strips:
                projects.add_to_strip(session, name, shot, take_id, added)
        return name

    def _files(self, known: Iterable[StoredTake]) -> dict[str, Path]:
        """The files of takes by "DIGEST.suffix"; raises `NotThere` where one is missing."""
        files: dict[str, Path] = {}
        for take in known:
            for kind, suffix in MEDIA.items():
                path = self.artifacts.path(getattr(take, kind), suffix)
                if not path.is_file():
                    raise NotThere(f"the {kind} of a take is missing from the studio's folder")
                files[path.name] = path
        return files

    def back_up(self) -> Path:
        """A copy of the database in the folder of backups; returns where it lies."""
        with os_errors_as_studio_errors(self.root):
            return back_up(self._database.path, self.root / "backups")

    def orphans(self) -> list[Path]:
        """Files of takes that no project has any longer."""
        with self._database.read() as session:
            known = takes.artifacts_in_use(session)
        return list(self.artifacts.orphans(known))

    def collect(self) -> list[Path]:
        """Removes what `orphans` tells; returns it."""
        with self._database.write() as session:
            takes.forget_artifacts(session)
            gone = list(self.artifacts.orphans(takes.artifacts_in_use(session)))
        for file in gone:
            self.artifacts.remove(file)
        return gone

    def _statuses(self, project: Project, known: dict[str, StoredTake]) -> tuple[ShotStatus, ...]:
        return shot_statuses(with_inferred_cast(project), known, self._model(project)[0])

    def _model(self, project: Project) -> tuple[str, bool]:
        """What the project's model is called, and whether it reads the embedded model's words alone.

        One that is not there yet goes by its name: what it makes is not outdated by that.
        """
        model = project.board.settings.model
        if model not in self._models:
            try:
                self._models[model] = identify(model), family(model) == ANIMATIC
            except EngineError:
                return str(model), False
        return self._models[model]


def _from_record(
    record: dict[str, Any], files: Collection[str]
) -> tuple[Project, list[StoredTake], list[tuple[str, str, float]]]:
    """The project, takes and strips of a bundle; raises `BadBundle` where they do not fit together."""
    try:
        project = from_document(record["project"])
        known = [takes.take_from_record(take) for take in record["takes"]]
        strips = [(str(s["shot"]), str(s["take"]), float(s["added"])) for s in record["strips"]]
        for take in known:
            if take.id != take.inputs.take_id:
                raise BadBundle("a take in it is not what it says")
            if not all(f"{getattr(take, kind)}{suffix}" in files for kind, suffix in MEDIA.items()):
                raise BadBundle("a file of a take is missing from it")
    except (ValidationError, BadStoryboard, KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadBundle("its project.json is not what a studio writes") from error
    names = {take.id for take in known}
    if not {take for _, take, _ in strips} <= names:
        raise BadBundle("a take in it is missing")
    return project, known, strips


def _made_already(
    project: Project, known: dict[str, StoredTake], statuses: Iterable[ShotStatus]
) -> Iterator[tuple[str, str]]:
    """Shots whose take is not what they ask for, and the take they ask for, where that was made once."""
    for status in statuses:
        if status.state in ("outdated", "missing") and not project.board.shots[status.place].lock:
            wanted = status.inputs.take_id
            if wanted in known and wanted != status.take and wanted not in project.discarded:
                yield status.shot, wanted


def _queue(session: Session) -> Queue:
    jobs = queue.jobs_of(session)
    return Queue(paused=queue.is_paused(session), jobs=job_states(jobs, _projects_of(session, jobs)))


def _projects_of(session: Session, jobs: Iterable[Job]) -> dict[str, Project]:
    """The projects that jobs belong to, by id."""
    return {name: projects.project_of(session, name) for name in {job.project for job in jobs}}


def _rolled(project: Project, known: dict[str, StoredTake], place: int) -> int | None:
    """The seed of a shot's chosen take, where it was rolled instead of the one that the shot asks for."""
    take = chosen_take(project, known, project.board.shots[place].id)
    seed = wanted_seed(project.board, place, take)
    return None if seed == wanted_seed(project.board, place, None) else seed


def _wanted(status: ShotStatus, scope: Scope | Collection[str]) -> bool:
    if scope == "due":
        return status.due
    return scope == "all" or status.shot in scope


def _nothing(board: Storyboard, scope: Scope | Collection[str]) -> str:
    if not board.shots:
        return "there are no shots yet"
    if scope == "due":
        return "no shot needs rendering: all are up to date"
    return "nothing can be rendered: what is left is locked, skipped or without a caption"
