"""Footage as views show it."""

from __future__ import annotations

from dataclasses import dataclass

from studio.jobs.job import Job
from studio.service.job_state import JobState, job_state
from studio.store.footage_rows import StoredFootage


@dataclass(frozen=True, kw_only=True)
class FootageSummary:
    """Footage in a list. `shots` and `seconds` are 0 until a job has read it; `job` is the last one."""

    id: str
    name: str
    location: str
    ready: bool
    shots: int
    left_out: int
    seconds: float
    version: int
    changed: float
    job: JobState | None


@dataclass(frozen=True, kw_only=True)
class FootageShotState:
    """A shot: its frames from `start` until before `end`."""

    start: int
    end: int
    caption: str
    left_out: bool


@dataclass(frozen=True, kw_only=True)
class FootageState:
    """Footage as views show it. `ready` once a job has read the video.

    `size` is (width, height), `fps` the frames a second; `version` changes with the preview film.
    `style` is the caption of all shots; `notes` say what could not be read, `undo` and `redo` what these
    would do, in words. `job` is the last that read the video.
    """

    id: str
    name: str
    location: str
    missing: bool
    revision: int
    ready: bool
    frames: int
    fps: float
    size: tuple[int, int]
    version: int
    shots: tuple[FootageShotState, ...]
    style: str
    notes: tuple[str, ...]
    undo: str | None
    redo: str | None
    job: JobState | None


def footage_summary(stored: StoredFootage, job: Job | None) -> FootageSummary:
    """Footage in a list, with the last job that reads it."""
    footage = stored.footage
    shots = () if footage is None else footage.shots
    return FootageSummary(
        id=stored.id,
        name=stored.name,
        location=_location(stored),
        ready=footage is not None,
        shots=len(shots),
        left_out=sum(shot.left_out for shot in shots),
        seconds=0.0 if footage is None else float(footage.frames / footage.rate),
        version=_version(stored),
        changed=stored.changed,
        job=None if job is None else job_state(job, None),
    )


def footage_state(stored: StoredFootage, job: Job | None, *, missing: bool) -> FootageState:
    """Footage with its shots; `missing` where its video is not there."""
    footage = stored.footage
    return FootageState(
        id=stored.id,
        name=stored.name,
        location=_location(stored),
        missing=missing,
        revision=stored.revision,
        ready=footage is not None,
        frames=0 if footage is None else footage.frames,
        fps=0.0 if footage is None else float(footage.rate),
        size=stored.size or (0, 0),
        version=_version(stored),
        shots=()
        if footage is None
        else tuple(
            FootageShotState(
                start=shot.start, end=footage.end(index), caption=shot.caption, left_out=shot.left_out
            )
            for index, shot in enumerate(footage.shots)
        ),
        style=stored.style,
        notes=stored.notes,
        undo=stored.undo,
        redo=stored.redo,
        job=None if job is None else job_state(job, None),
    )


def _location(stored: StoredFootage) -> str:
    return "uploaded" if stored.path is None else stored.path


def _version(stored: StoredFootage) -> int:
    return 0 if stored.read is None else round(stored.read * 1000)
