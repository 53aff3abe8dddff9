"""Footage for views and commands: adding videos, their shots as they are now, edits, storyboard files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from sqlalchemy.orm import Session

from moc_engine.errors import FootageError
from moc_engine.stored_file import StoredFile
from moc_engine.training.data.footage.storyboard import (
    FootageStoryboard,
    StoryboardShot,
    parse_storyboard,
    read_storyboard,
    storyboard_text,
    write_storyboard,
)
from moc_engine.training.data.footage.video_reading import SUFFIXES
from studio.domain.errors import NotThere, Refused, WrongUse
from studio.domain.file_names import slug
from studio.domain.footage import tidy_caption
from studio.domain.footage_edits import FootageEdit, ReplaceShots
from studio.domain.messages import message
from studio.jobs import queue
from studio.jobs.job import Job
from studio.jobs.order import FootageOrder
from studio.service.footage_state import FootageState, FootageSummary, footage_state, footage_summary
from studio.store import footage_rows
from studio.store.database import Database
from studio.store.footage_files import FootageFiles
from studio.store.footage_rows import Given, GivenShot, StoredFootage
from studio.store.footage_stills import preview_stills
from studio.store.os_errors import os_errors_as_studio_errors

MOST_OF_FOLDER: Final = 100
"""Videos of a folder that are added at once."""

STORYBOARDS: Final = (".yaml", ".yml")
"""The endings of names of storyboard files."""

MOST_STILLS: Final = 8
"""Frames in one picture."""


class FootageLibrary:
    """Lists, adds and edits footage. Methods that name one raise `NotThere` if it is gone."""

    def __init__(self, root: Path, database: Database, clock: Callable[[], float]) -> None:
        self._root = root
        self._database = database
        self._files = FootageFiles(root)
        self._clock = clock

    def listed(self) -> list[FootageSummary]:
        """All footage, the one added last first."""
        with self._database.read() as session:
            stored, jobs = footage_rows.listed(session), queue.footage_jobs(session)
        return [footage_summary(one, jobs.get(one.id)) for one in stored]

    def add(self, path: str) -> list[str]:
        """Adds a video of this machine, or all in a folder, and queues their reading; returns their ids.

        One that was added before stays as it is. Of a storyboard file those are added that it names, with its
        shots. Raises `WrongUse`.
        """
        found = _absolute(path)
        if found.suffix.lower() in STORYBOARDS and _is_file(found):
            with _in_words():
                return self._open(read_storyboard(found))
        videos = _videos_at(found)
        with self._database.write() as session:
            return [self._add_path(session, video) for video in videos]

    def add_upload(self, name: str, file: Path) -> str:
        """Adds an uploaded video, whose file is moved. Raises `WrongUse`, `OutputFailed`."""
        suffix = _suffix(name)
        footage = footage_rows.new_id()
        with os_errors_as_studio_errors(self._root):
            self._files.keep(footage, file, suffix)
        with self._database.write() as session:
            footage_rows.add(session, footage, Path(name).name, None, self._clock())
            self._enqueue(session, footage, Path(name).name, None)
        return footage

    def open_storyboard(self, text: str, name: str) -> list[str]:
        """Adds the videos that the text of a storyboard names, with its shots; returns their ids.

        Shots of one that is here are replaced, with undo. Raises `WrongUse`.
        """
        folder = self._root / "footage"
        try:
            board = parse_storyboard(text, title=Path(name).stem, folder=folder)
        except ValueError as error:
            raise WrongUse(message("storyboard-malformed", where=name, problem=str(error))) from error
        with self._database.read() as session:
            here = {one.name: one for one in footage_rows.listed(session)}
        beside = {  # named without a folder: the video of that name
            shot.source: self._source(here[shot.source.name])
            for shot in board.shots
            if shot.source.parent == folder and shot.source.name in here
        }
        shots = tuple(replace(shot, source=beside.get(shot.source) or shot.source) for shot in board.shots)
        return self._open(replace(board, shots=shots))

    def storyboard(self, footage: str) -> tuple[str, str]:
        """A name for the storyboard file of footage, and its content."""
        board = self._board(self._read(footage))
        return f"{slug(board.title)}.yaml", storyboard_text(board, self._root / "downloads")

    def save_storyboard(self, footage: str) -> str:
        """Writes the storyboard file beside the video; returns its path.

        Raises `Refused` where another file has its name, and for an uploaded video; `OutputFailed`.
        """
        stored = self._read(footage)
        if stored.path is None:
            raise Refused(message("footage-uploaded"))
        target = Path(stored.path).with_suffix(".yaml")
        if target.exists() and not _is_storyboard_of(target, Path(stored.path)):
            raise Refused(message("footage-file-in-the-way", path=str(target)))
        with os_errors_as_studio_errors(target.parent):
            write_storyboard(target, self._board(stored))
        return str(target)

    def state(self, footage: str) -> FootageState:
        """Footage as it is now."""
        with self._database.read() as session:
            stored, job = footage_rows.load(session, footage), queue.footage_jobs(session).get(footage)
        return self._state(stored, job)

    def edit(self, footage: str, edit: FootageEdit, base: int) -> FootageState:
        """Applies an edit that was made looking at revision `base`; returns the footage afterwards.

        Raises `StaleRevision` and `Refused`; nothing is changed then.
        """
        return self._changed(
            footage, lambda s: footage_rows.apply(s, footage, edit, base=base, now=self._clock())
        )

    def undo(self, footage: str, base: int) -> FootageState:
        """Undoes the last edit. Raises as `edit` does."""
        return self._changed(footage, lambda s: footage_rows.undo(s, footage, base=base, now=self._clock()))

    def redo(self, footage: str, base: int) -> FootageState:
        """Applies the edit again that was undone last. Raises as `edit` does."""
        return self._changed(footage, lambda s: footage_rows.redo(s, footage, base=base, now=self._clock()))

    def find_cuts(self, footage: str, threshold: float | None = None) -> int:
        """Queues the search for cuts; returns the job. Cuts found anew replace those there are, with undo."""
        with self._database.write() as session:
            stored = footage_rows.load(session, footage)
            return self._enqueue(session, footage, stored.name, threshold)

    def remove(self, footage: str) -> None:
        """Removes footage with its edits and preview film, and an uploaded video; other videos stay."""
        with self._database.write() as session:
            job = queue.footage_jobs(session).get(footage)
            footage_rows.remove(session, footage)
            if job is not None:
                queue.cancel(session, job.id)
        self._files.remove(footage)

    def preview(self, footage: str) -> StoredFile:
        """The preview film, MP4."""
        self._previewed(footage)
        return self._files.preview_file(footage)

    def stills(self, footage: str, frames: Sequence[int]) -> bytes:
        """Frames of the preview film side by side, as one JPEG. Raises `WrongUse`, `DamagedClip`."""
        stored = self._previewed(footage)
        assert stored.footage is not None, "it was read"
        if not 0 < len(frames) <= MOST_STILLS or not all(0 <= n < stored.footage.frames for n in frames):
            raise WrongUse(message("frames-not-there"))
        return preview_stills(self._files.preview(footage), frames, stored.footage.rate)

    def _open(self, board: FootageStoryboard) -> list[str]:
        """The footage of each video of a storyboard, with its shots."""
        sources = dict.fromkeys(shot.source for shot in board.shots)
        for source in sources:
            if not _is_file(source):
                raise WrongUse(message("footage-source-missing", path=str(source)))
            _suffix(source.name)
        with self._database.write() as session:
            return [self._open_video(session, source, board) for source in sources]

    def _open_video(self, session: Session, source: Path, board: FootageStoryboard) -> str:
        given = _given(board, source)
        uploaded = self._files.id_of(source)
        known = uploaded if uploaded in footage_rows.ids(session) else None
        footage = known or footage_rows.of_path(session, str(source))
        if footage is None:
            footage = footage_rows.new_id()
            footage_rows.add(session, footage, source.name, str(source), self._clock(), given)
            self._enqueue(session, footage, source.name, None)
            return footage
        stored = footage_rows.load(session, footage)
        if stored.footage is None:
            footage_rows.set_given(session, footage, given)
            self._enqueue(session, footage, stored.name, None)
        else:
            shots = given.in_frames(stored.footage.rate, stored.footage.frames)
            edit = ReplaceShots(shots=shots, what="open a storyboard", style=given.style)
            footage_rows.apply(session, footage, edit, base=stored.revision, now=self._clock())
        return footage

    def _board(self, stored: StoredFootage) -> FootageStoryboard:
        footage, source = stored.footage, self._source(stored)
        assert footage is not None, "it was read"
        if source is None:
            raise Refused(message("video-missing", file=stored.name))
        rate = footage.rate
        return FootageStoryboard(
            title=stored.title or Path(stored.name).stem,
            style=footage.style,
            shots=tuple(
                StoryboardShot(
                    source=source,
                    start=float(shot.start / rate),
                    end=float(footage.end(index) / rate),
                    caption=shot.caption,
                    skip=shot.left_out,
                )
                for index, shot in enumerate(footage.shots)
            ),
        )

    def _previewed(self, footage: str) -> StoredFootage:
        """Footage whose preview film is there. Raises as `_read` does."""
        stored = self._read(footage)
        if not self._files.preview(footage).is_file():
            raise NotThere(message("file-not-found"))
        return stored

    def _read(self, footage: str) -> StoredFootage:
        """Raises `NotThere` and, where the video was not read yet, `Refused`."""
        with self._database.read() as session:
            stored = footage_rows.load(session, footage)
        if stored.footage is None:
            raise Refused(message("footage-not-read"))
        return stored

    def _changed(self, footage: str, change: Callable[[Session], object]) -> FootageState:
        with self._database.write() as session:
            change(session)
            stored, job = footage_rows.load(session, footage), queue.footage_jobs(session).get(footage)
        return self._state(stored, job)

    def _add_path(self, session: Session, video: Path) -> str:
        known = footage_rows.of_path(session, str(video))
        if known is not None:
            return known
        footage = footage_rows.new_id()
        footage_rows.add(session, footage, video.name, str(video), self._clock())
        self._enqueue(session, footage, video.name, None)
        return footage

    def _enqueue(self, session: Session, footage: str, name: str, threshold: float | None) -> int:
        order = FootageOrder(
            footage=footage, name=name, threshold=threshold, reason="to find where it is cut"
        )
        made = queue.enqueue(session, None, [order])
        return made[0] if made else queue.footage_jobs(session)[footage].id

    def _source(self, stored: StoredFootage) -> Path | None:
        return self._files.uploaded(stored.id) if stored.path is None else Path(stored.path)

    def _state(self, stored: StoredFootage, job: Job | None) -> FootageState:
        source = self._source(stored)
        return footage_state(stored, job, missing=source is None or not _is_file(source))


def _is_file(path: Path) -> bool:
    """Whether a file is there; none is at a path that may not be read, or is longer than paths are."""
    try:
        return path.is_file()
    except OSError:
        return False


def _absolute(path: str) -> Path:
    """A path of this machine, "~" being the person's folder. Raises `WrongUse`."""
    try:
        found = Path(path.strip()).expanduser().absolute()
        found.exists()
    except (RuntimeError, ValueError, OSError) as error:  # "~name" of nobody, a null character, no permission
        raise WrongUse(message("footage-path-missing", path=path[:200])) from error
    return found


def _videos_at(found: Path) -> list[Path]:
    """The video at a path, or those in the folder there, by name. Raises `WrongUse`."""
    if _is_file(found):
        _suffix(found.name)
        return [found]
    if not found.is_dir():
        raise WrongUse(message("footage-path-missing", path=str(found)))
    with os_errors_as_studio_errors(found):
        inside = sorted(
            file for file in found.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file()
        )
    if not inside:
        raise WrongUse(message("footage-folder-empty", path=str(found)))
    if len(inside) > MOST_OF_FOLDER:
        raise WrongUse(message("footage-folder-full", path=str(found), most=MOST_OF_FOLDER))
    return inside


def _suffix(name: str) -> str:
    """The ending of a video's name. Raises `WrongUse` for another file."""
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise WrongUse(message("footage-path-no-video", path=name[:200], known=" ".join(sorted(SUFFIXES))))
    return suffix


def _given(board: FootageStoryboard, source: Path) -> Given:
    """What a storyboard says of one of its videos. Raises `BadStoryboard`."""
    return Given(
        title=board.title,
        style=tidy_caption(board.style),
        shots=tuple(
            GivenShot(start=shot.start, end=shot.end, caption=tidy_caption(shot.caption), left_out=shot.skip)
            for shot in board.shots
            if shot.source == source
        ),
    )


def _is_storyboard_of(file: Path, video: Path) -> bool:
    """Whether a file is a storyboard of this video, which may be written again."""
    try:
        return any(shot.source == video for shot in read_storyboard(file).shots)
    except FootageError:
        return False


@contextmanager
def _in_words() -> Iterator[None]:
    """Errors of the engine about storyboards as refusals."""
    try:
        yield
    except FootageError as error:
        raise WrongUse(message("text", text=str(error))) from error
