"""Keeps one worker process alive beside the web process."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from moc_engine.processes import kill_with_children
from studio.worker.parent import child_environment

WORKER: Final = (sys.executable, "-m", "studio.worker")

_LOOK: Final = 0.5
"""Seconds between two looks at a worker."""

_RESTART_AFTER: Final = (0.0, 1.0, 5.0, 15.0)
"""Seconds before a worker that died is replaced: longer where one dies after the other."""

_GRACE: Final = 10.0
"""Seconds in which a silent worker may be heard again: after a machine's sleep all of them are silent."""

_UNKNOWN_GRACE: Final = 30.0
"""Further seconds where the database cannot be asked: the worker may be frozen while it has it locked."""

_LONG: Final = 60.0
"""Seconds of life after which a death is no longer counted with those before it."""

log = logging.getLogger(__name__)


class WorkerRecords(Protocol):
    """What the queue knows of workers by name, and is notified of."""

    def worker_died(self, worker: str) -> None:
        """The worker died at its job."""

    def worker_stopped(self, worker: str) -> None:
        """The worker was told to end and is gone."""

    def worker_is_silent(self, worker: str) -> bool:
        """Whether its job had no heartbeat within its lease."""


class Supervisor:
    """Starts a worker, replaces it when it dies, and stops it at the end.

    A worker that is told to stop has `patience` seconds to hand its job back. One that is silent for `grace`
    seconds beyond its lease is frozen and gets killed; so does one of which nothing can be known,
    `unknown_grace` seconds later.
    """

    def __init__(
        self,
        root: Path,
        records: WorkerRecords,
        command: Sequence[str] = WORKER,
        patience: float = 20.0,
        *,
        grace: float = _GRACE,
        unknown_grace: float = _UNKNOWN_GRACE,
    ) -> None:
        self._root = root
        self._records = records
        self._command = command
        self._patience = patience
        self._grace = grace
        self._unknown_grace = unknown_grace
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._thread.start()

    def begin_stop(self) -> None:
        """Tells the worker to hand its job back and end."""
        self._over.set()

    def stop(self) -> None:
        """Lets the worker hand its job back and end; kills it if it does not."""
        self.begin_stop()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        deaths = 0
        while not self._over.wait(_RESTART_AFTER[min(deaths, len(_RESTART_AFTER) - 1)]):
            began = time.monotonic()
            try:
                self._run_one(f"worker-{uuid.uuid4().hex[:8]}")
            except Exception:  # no memory for a process, a full disk: the next one may fare better
                log.exception("the worker could not be supervised")
            deaths = 0 if time.monotonic() - began > _LONG else deaths + 1

    def _run_one(self, name: str) -> None:
        """From a worker's start to its end."""
        self.process = process = subprocess.Popen(
            [*self._command, "--root", str(self._root), "--name", name], env=child_environment()
        )
        heard = time.monotonic()
        while process.poll() is None and not self._over.wait(_LOOK):
            silent = self._is_silent(name)
            grace = self._grace + (self._unknown_grace if silent is None else 0.0)
            if silent is False:
                heard = time.monotonic()
            elif time.monotonic() - heard > grace:
                log.warning("%s is frozen", name)
                kill_with_children(process)
        if process.poll() is not None:
            self._records.worker_died(name)
            return
        process.terminate()
        try:
            process.wait(self._patience)
        except subprocess.TimeoutExpired:
            log.warning("%s did not end when it was told to", name)
            kill_with_children(process)
        self._records.worker_stopped(name)

    def _is_silent(self, name: str) -> bool | None:
        """None where it cannot be known."""
        try:
            return self._records.worker_is_silent(name)
        except Exception as error:
            log.warning("whether %s is silent cannot be known: %s", name, error)
            return None


class Supervisors:
    """Several workers beside one web process, each with its own supervisor; they end at the same time."""

    def __init__(self, supervisors: Sequence[Supervisor]) -> None:
        self._supervisors = supervisors

    def start(self) -> None:
        for supervisor in self._supervisors:
            supervisor.start()

    def stop(self) -> None:
        """As `Supervisor.stop`, all of them at once."""
        for supervisor in self._supervisors:
            supervisor.begin_stop()
        for supervisor in self._supervisors:
            supervisor.stop()
