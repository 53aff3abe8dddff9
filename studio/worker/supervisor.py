"""Keeps one worker process alive beside the web process."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

WORKER: Final = (sys.executable, "-m", "studio.worker")

PARENT: Final = "MOC_STUDIO_PARENT"
"""The variable that tells a worker whose it is: its parent may be gone before it can ask."""

_LOOK: Final = 0.5
_WAITS: Final = (0.0, 1.0, 5.0, 15.0)
"""Seconds before a worker that died is replaced: longer where one dies after the other."""

_GRACE: Final = 10.0
"""Seconds in which a silent worker may be heard again: after a machine's sleep all of them are silent."""

_UNTOLD: Final = 30.0
"""Seconds of grace more where nobody can tell how a worker is: it may be frozen with the database in hand."""

_LONG: Final = 60.0
"""Seconds after which a death is no longer counted with those before it."""

log = logging.getLogger(__name__)


class Supervisor:
    """Starts a worker, replaces it when it dies, stops it at the end; `died` is told the name of each.

    A worker that is told to stop has `patience` seconds to put its job back. One that `silent` says is
    frozen, and still says `grace` seconds later, is killed; so is one of which nothing can be told, `untold`
    seconds later still.
    """

    def __init__(
        self,
        root: Path,
        died: Callable[[str], None],
        command: Sequence[str] = WORKER,
        patience: float = 20.0,
        *,
        silent: Callable[[str], bool] = lambda name: False,
        grace: float = _GRACE,
        untold: float = _UNTOLD,
    ) -> None:
        self._root = root
        self._died = died
        self._command = command
        self._patience = patience
        self._silent = silent
        self._grace = grace
        self._untold = untold
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Lets the worker put its job back and go; kills it if it does not."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        deaths = 0
        while not self._over.wait(_WAITS[min(deaths, len(_WAITS) - 1)]):
            began = time.monotonic()
            try:
                self._run_one(f"worker-{uuid.uuid4().hex[:8]}")
            except Exception:  # no memory for a process, a full disk: the next one may fare better
                log.exception("the worker could not be looked after")
            deaths = 0 if time.monotonic() - began > _LONG else deaths + 1

    def _run_one(self, name: str) -> None:
        """From a worker's start to its death."""
        self.process = process = subprocess.Popen(
            [*self._command, "--root", str(self._root), "--name", name],
            env={**os.environ, PARENT: str(os.getpid())},
        )
        heard = time.monotonic()
        while process.poll() is None and not self._over.wait(_LOOK):
            silent = self._is_silent(name)
            if silent is False:
                heard = time.monotonic()
            elif time.monotonic() - heard > self._grace + (self._untold if silent is None else 0.0):
                log.warning("%s is frozen", name)
                process.kill()
                process.wait()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(self._patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._died(name)

    def _is_silent(self, name: str) -> bool | None:
        """None where it cannot be told."""
        try:
            return self._silent(name)
        except Exception as error:
            log.warning("it cannot be told how %s is: %s", name, error)
            return None
