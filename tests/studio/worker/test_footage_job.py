"""Reading footage as a job: cuts found, captions beside it, cancelled, killed and tried again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from moc_engine.errors import RenderCancelled
from studio.domain.errors import NotThere
from studio.domain.footage import FootageShot
from studio.domain.footage_edits import MergeShots
from studio.jobs import claims, queue
from studio.jobs.job import Job
from studio.jobs.order import FootageOrder
from studio.service.footage_state import FootageState
from studio.store.database import Database
from studio.store.footage_files import FootageFiles
from studio.worker.footage_job import FootageJobs
from studio.worker.found_cuts import FoundShots
from studio.worker.preview_film import PreviewFilm, Report
from studio.worker.running_job import CancelToken, RunningJob
from tests.fakes.footage import write_footage
from tests.fakes.inline_studio import Studio
from tests.fakes.waiting import until


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


def state(studio: Studio, footage: str) -> FootageState:
    return studio.service.footage.state(footage)


def starts(studio: Studio, footage: str) -> list[int]:
    return [shot.start for shot in state(studio, footage).shots]


def job(database: Database, footage: str) -> Job:
    with database.read() as session:
        return queue.footage_jobs(session)[footage]


def test_the_cuts_of_a_video_are_found(studio: Studio, tmp_path: Path) -> None:
    film = write_footage(tmp_path / "films" / "sea.mp4", (24, 36, 30), rate=12)
    film.with_suffix(".srt").write_text("1\n00:00:02,100 --> 00:00:04,900\nOtto <i>waves</i>\n")
    (footage,) = studio.service.footage.add(str(film))
    assert not state(studio, footage).ready
    studio.work()
    read = state(studio, footage)
    assert read.ready
    assert (read.frames, read.fps, read.size) == (90, 12.0, (128, 72))
    assert [(shot.start, shot.end) for shot in read.shots] == [(0, 24), (24, 60), (60, 90)]
    assert [shot.caption for shot in read.shots] == ["", "Otto waves", ""]
    assert read.notes == ()
    assert read.job is not None
    assert (read.job.kind, read.job.state, read.job.title) == ("analysis", "done", "sea.mp4")
    assert read.job.footage == footage
    assert read.job.model is None


def test_subtitles_that_cannot_be_read_are_told(studio: Studio, tmp_path: Path) -> None:
    film = write_footage(tmp_path / "sea.mp4")
    film.with_suffix(".srt").write_text("1\n00:00:99 --> soon\nOtto\n")
    (footage,) = studio.service.footage.add(str(film))
    studio.work()
    assert starts(studio, footage) == [0, 24, 60]
    (note,) = state(studio, footage).notes
    assert "subtitles are not used" in note
    assert "sea.srt" in note


def test_cuts_found_again_are_an_edit_with_undo(studio: Studio, database: Database, tmp_path: Path) -> None:
    (footage,) = studio.service.footage.add(str(write_footage(tmp_path / "sea.mp4")))
    studio.work()
    preview = FootageFiles(studio.service.root).preview(footage)
    written = preview.stat().st_mtime_ns
    merged = studio.service.footage.edit(footage, MergeShots(shot=0), base=1)
    assert studio.service.footage.find_cuts(footage, threshold=2.5) == job(database, footage).id
    studio.work()
    assert preview.stat().st_mtime_ns == written  # it is not written again
    assert starts(studio, footage) == [0, 24, 60]
    assert state(studio, footage).version == merged.version
    assert state(studio, footage).undo == "find the cuts again"
    undone = studio.service.footage.undo(footage, state(studio, footage).revision)
    assert [shot.start for shot in undone.shots] == [0, 60]


def test_a_storyboard_that_is_opened_while_its_video_is_read_counts(
    studio: Studio, database: Database, tmp_path: Path
) -> None:
    film = write_footage(tmp_path / "sea.mp4", rate=12)
    board = tmp_path / "board.yaml"
    board.write_text("source: sea.mp4\nstyle: ink\nshots: [{start: 0, end: 7.5, caption: Mira}]")
    (footage,) = studio.service.footage.add(str(film))

    def meanwhile(*_: object) -> FoundShots:
        assert studio.service.footage.add(str(board)) == [footage]
        return FoundShots(shots=(FootageShot(start=0), FootageShot(start=24)))

    with database.write() as session:
        claim = claims.claim(session, "w")
    assert claim is not None
    assert isinstance(claim.order, FootageOrder)
    with RunningJob(database, claim, threading.Event()) as running:
        FootageJobs(database, FootageFiles(studio.service.root), meanwhile).carry_out(running, claim.order)
    read = state(studio, footage)
    assert [(shot.start, shot.caption) for shot in read.shots] == [(0, "Mira")]
    assert read.style == "ink"


def test_edits_outlive_a_preview_film_that_is_lost(studio: Studio, tmp_path: Path) -> None:
    (footage,) = studio.service.footage.add(str(write_footage(tmp_path / "sea.mp4")))
    studio.work()
    merged = studio.service.footage.edit(footage, MergeShots(shot=0), base=1)
    FootageFiles(studio.service.root).preview(footage).unlink()
    for ask in (studio.service.footage.preview, lambda one: studio.service.footage.stills(one, [0])):
        with pytest.raises(NotThere):
            ask(footage)
    studio.service.footage.find_cuts(footage)
    studio.work()
    assert studio.service.footage.stills(footage, [0])
    assert state(studio, footage).version > merged.version
    undone = studio.service.footage.undo(footage, state(studio, footage).revision)
    assert undone.shots == merged.shots
    assert undone.undo == "merge shots 1 and 2"


def test_a_video_that_changed_is_read_anew(studio: Studio, tmp_path: Path) -> None:
    film = write_footage(tmp_path / "sea.mp4")
    (footage,) = studio.service.footage.add(str(film))
    studio.work()
    before = state(studio, footage)
    write_footage(film, (40, 40))
    later = FootageFiles(studio.service.root).preview(footage).stat().st_mtime + 10
    os.utime(film, (later, later))
    studio.service.footage.find_cuts(footage)
    studio.work()
    assert starts(studio, footage) == [0, 40]
    assert state(studio, footage).version > before.version


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "sea.mp4 is empty"), (b"#EXTM3U\n/etc/passwd\n", "sea.mp4 is no video")]
)
def test_what_is_no_video_is_told(
    studio: Studio, database: Database, tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "sea.mp4").write_bytes(content)
    (footage,) = studio.service.footage.add(str(tmp_path / "sea.mp4"))
    studio.work()
    ended = job(database, footage)
    assert ended.state == "failed"
    assert said in str(ended.error)
    assert not state(studio, footage).ready


def test_a_video_that_is_gone_is_told_and_can_be_tried_again(
    studio: Studio, database: Database, tmp_path: Path
) -> None:
    film = write_footage(tmp_path / "sea.mp4")
    (footage,) = studio.service.footage.add(str(film))
    film.rename(tmp_path / "elsewhere.mp4")
    studio.work()
    assert "not there any more" in str(job(database, footage).error)
    assert state(studio, footage).missing
    (tmp_path / "elsewhere.mp4").rename(film)
    studio.service.queue.retry(job(database, footage).id)
    studio.work()
    assert starts(studio, footage) == [0, 24, 60]


def test_a_cancelled_job_ends_and_can_be_tried_again(
    studio: Studio, database: Database, tmp_path: Path
) -> None:
    (footage,) = studio.service.footage.add(str(write_footage(tmp_path / "sea.mp4")))

    def cancelled(
        preview: Path,
        source: Path,
        film: PreviewFilm,
        threshold: float | None,
        report: Report,
        cancel: CancelToken,
    ) -> FoundShots:
        studio.service.queue.cancel(job(database, footage).id)
        until(cancel.is_set)
        raise RenderCancelled

    with database.write() as session:
        claim = claims.claim(session, "w")
    assert claim is not None
    assert isinstance(claim.order, FootageOrder)
    jobs = FootageJobs(database, FootageFiles(studio.service.root), cancelled)
    with RunningJob(database, claim, threading.Event()) as running:
        with pytest.raises(RenderCancelled):
            jobs.carry_out(running, claim.order)
        running.end_early()
    assert job(database, footage).state == "cancelled"
    studio.service.footage.find_cuts(footage)
    studio.work()
    assert starts(studio, footage) == [0, 24, 60]


def test_footage_that_is_removed_meanwhile_is_not_read(studio: Studio, tmp_path: Path) -> None:
    (footage,) = studio.service.footage.add(str(write_footage(tmp_path / "sea.mp4")))
    studio.service.footage.remove(footage)
    studio.work()
    assert studio.service.footage.listed() == []
    (ended,) = studio.service.queue.state().jobs
    assert ended.state == "cancelled"


WORKER = """
from studio.worker.process import main
main(lambda model: None)
"""


def test_a_killed_worker_is_followed_by_another(studio: Studio, database: Database, tmp_path: Path) -> None:
    film = write_footage(tmp_path / "sea.mp4", (600, 500, 400), (64, 36))
    (footage,) = studio.service.footage.add(str(film))
    process = subprocess.Popen([sys.executable, "-c", WORKER, "--root", str(tmp_path), "--name", "killed"])
    try:
        until(lambda: job(database, footage).progress is not None)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    assert not state(studio, footage).ready
    studio.service.queue.worker_died("killed")
    assert job(database, footage).state == "queued"
    studio.work()
    assert job(database, footage).state == "done"
    assert starts(studio, footage) == [0, 600, 1100]
