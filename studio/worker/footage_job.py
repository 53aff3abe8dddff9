"""Reads the videos of footage: writes their preview films, and finds where they are cut."""

from __future__ import annotations

from pathlib import Path

from moc_engine.training.data.footage.video_reading import UnreadableVideo
from studio.domain.errors import DamagedClip
from studio.domain.footage import Footage
from studio.domain.footage_edits import ReplaceShots
from studio.domain.messages import message
from studio.jobs import claims
from studio.jobs.job import Progress
from studio.jobs.order import FootageOrder
from studio.store import footage_rows
from studio.store.clock import database_time
from studio.store.database import Database
from studio.store.footage_files import FootageFiles
from studio.worker.found_cuts import FindShots, FoundShots, find_shots
from studio.worker.preview_film import PreviewFilm, Report, read_preview, write_preview
from studio.worker.running_job import RunningJob


class FootageJobs:
    """Carries out analyses of footage. A preview film that is whole stays for the next attempt."""

    def __init__(self, database: Database, files: FootageFiles, find: FindShots = find_shots) -> None:
        self._database = database
        self._files = files
        self._find = find

    def carry_out(self, job: RunningJob, order: FootageOrder) -> None:
        """Reads a video; the result is the footage's id. Cuts that are found anew are an edit, with undo.

        Raises `NotThere`, `DamagedClip`, `FootageError` and `RenderCancelled`.
        """
        with self._database.read() as session:
            stored = footage_rows.load(session, order.footage)
        source = Path(stored.path) if stored.path is not None else self._files.uploaded(stored.id)
        if source is None or not source.is_file():
            raise DamagedClip(message("video-missing", file=stored.name))
        film, fresh = self._film(job, source, self._files.preview(stored.id))
        given, found = stored.given, FoundShots(shots=())
        if given is None:
            report, cancel = _reporting(job, "cuts"), job.token
            found = self._find(self._files.preview(stored.id), source, film, order.threshold, report, cancel)
        with self._database.write() as session:
            now, stored = database_time(session), footage_rows.load(session, order.footage)
            known, given = (
                stored.footage,
                stored.given or given,
            )  # a storyboard may have been opened meanwhile
            if given is not None:
                found = FoundShots(shots=given.in_frames(film.rate, film.frames))
            if known is None or (known.frames, known.rate) != (film.frames, film.rate):
                made = Footage(frames=film.frames, rate=film.rate, shots=found.shots, style=stored.style)
                notes = (*film.notes, *found.notes)
                footage_rows.set_read(session, order.footage, made, film.size, notes, now)
            else:
                if fresh:
                    footage_rows.set_previewed(session, order.footage, now)
                edit = ReplaceShots(shots=found.shots, what="find the cuts again")
                footage_rows.apply(session, order.footage, edit, base=stored.revision, now=now)
            claims.finish(session, job.claim, order.footage)

    def _film(self, job: RunningJob, source: Path, preview: Path) -> tuple[PreviewFilm, bool]:
        """The preview film of a video, and whether it was written now."""
        try:
            film = read_preview(source, preview)
            if film is not None:
                return film, False
            return write_preview(source, preview, _reporting(job, "preview"), job.token), True
        except UnreadableVideo as error:
            raise DamagedClip(message("video-unreadable", file=source.name, problem=str(error))) from error


def _reporting(job: RunningJob, stage: str) -> Report:
    """Reports the seconds of video that are done."""

    def report(done: float, total: float | None) -> None:
        job.report_step(Progress(stage=stage, step=int(done), steps=round(max(total or done, 1.0))))

    return report
