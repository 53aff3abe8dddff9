"""A claimed job while it is worked on: heartbeats beside the work, progress, and the end of it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from moc_engine.contract import RenderEvent, StepEvent
from studio.domain.errors import LostClaim, OutputFailed, StudioError
from studio.domain.messages import Message
from studio.jobs import claims
from studio.jobs.job import HEARTBEAT, LEASE, Claim, Progress
from studio.store.database import Database

REPORT_EVERY: Final = 0.25
"""Seconds between two reports of steps without a preview."""

LOOK: Final = 0.5
"""Seconds between two looks at whether somebody cancelled the job."""

log = logging.getLogger(__name__)


class CancelToken:
    """Set when the job is to end: by a person, by the loss of its claim, or by the end of the worker."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._own = threading.Event()

    def set(self) -> None:
        self._own.set()

    def is_set(self) -> bool:
        return self._own.is_set() or self._stop.is_set()


class RunningJob:
    """Renews a claim while the block runs, and sets `token` once the job is to end.

    `cancelled` tells that a person cancelled it, rather than the worker being stopped.
    """

    def __init__(self, database: Database, claim: Claim, stop: threading.Event) -> None:
        self.claim = claim
        self.token = CancelToken(stop)
        self._stop = stop
        self._database = database
        self._cancelled_at: float | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="heartbeat", daemon=True)
        self._reported = 0.0

    def __enter__(self) -> RunningJob:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def cancelled(self) -> bool:
        return self._cancelled_at is not None

    @property
    def is_stopped(self) -> bool:
        """Whether the worker was told to end."""
        return self._stop.is_set()

    def ignored_its_end(self, seconds: float) -> bool:
        """Whether the job was cancelled more than `seconds` ago and still runs."""
        return self._cancelled_at is not None and time.monotonic() - self._cancelled_at > seconds

    def report_event(self, event: RenderEvent) -> None:
        """Passes on what the renderer reports, a few times a second."""
        if not isinstance(event, StepEvent):
            self.report(Progress(stage=event.stage))
            return
        progress = Progress(
            stage=event.stage, step=event.step, steps=event.steps, seconds_left=event.seconds_left
        )
        self.report_step(progress, event.preview)

    def report_step(self, progress: Progress, picture: bytes | None = None) -> None:
        """Stores the progress where a picture comes with it, or the last one is some time ago."""
        if picture is not None or time.monotonic() - self._reported >= REPORT_EVERY:
            self.report(progress, picture)

    def report(self, progress: Progress, picture: bytes | None = None) -> None:
        """Stores the progress. Raises `LostClaim`."""
        self._reported = time.monotonic()
        goes_on = self._database.transact(
            lambda session: claims.report(session, self.claim, progress, picture), shared=True, checked=False
        )
        self._note(goes_on)

    def end_early(self) -> None:
        """Ends the job as cancelled where a person cancelled it; otherwise it waits again, untried."""
        end = claims.give_up if self.cancelled else claims.hand_back
        self._end(lambda session: end(session, self.claim))

    def fail(self, problem: Message) -> None:
        """Ends the job as failed. On a full disk it is tried for the time of a lease.

        Raises `LostClaim`, and `OutputFailed` where it was not written: the job ends with its lease.
        """
        until = time.monotonic() + self.claim.lease
        while True:
            try:
                self._end(lambda session: claims.fail(session, self.claim, problem))
            except OutputFailed as error:
                log.warning("the failure of job %d cannot be recorded: %s", self.claim.job, error)
                if time.monotonic() >= until or self._stop.wait(self.claim.lease * HEARTBEAT / LEASE):
                    raise
            else:
                return

    def _end(self, end: Callable[[Session], None]) -> None:
        """Ends the job in a transaction; renders that wait for it are of its project."""
        self._database.transact(end, project=self.claim.project, shared=True)

    def _watch(self) -> None:
        due = 0.0
        while not self._over.wait(LOOK):
            try:
                if time.monotonic() >= due:
                    with self._database.write(shared=True, checked=False) as session:
                        goes_on = claims.heartbeat(session, self.claim)
                    due = time.monotonic() + self.claim.lease * HEARTBEAT / LEASE
                else:
                    with self._database.read() as session:
                        goes_on = claims.goes_on(session, self.claim)
            except LostClaim:  # lost, or over meanwhile
                self.token.set()
                return
            except (StudioError, SQLAlchemyError) as error:  # a busy database or a full disk may pass
                log.warning("no heartbeat for job %d: %s", self.claim.job, error)
            else:
                self._note(goes_on)

    def _note(self, goes_on: bool) -> None:
        if not goes_on:
            if self._cancelled_at is None:
                self._cancelled_at = time.monotonic()
            self.token.set()
