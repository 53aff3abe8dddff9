"""Keeps one worker process alive beside the web process."""

from __future__ import annotations

import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

WORKER: Final = (sys.executable, "-m", "studio.worker")

_LOOK: Final = 0.5
_WAITS: Final = (0.0, 1.0, 5.0, 15.0)
"""Seconds before a worker that died is replaced: longer where one dies after the other."""

_PATIENCE: Final = 20.0


class Supervisor:
    """Starts a worker, replaces it when it dies, stops it at the end; `died` is told the name of each."""

    def __init__(self, root: Path, died: Callable[[str], None], command: Sequence[str] = WORKER) -> None:
        self._root = root
        self._died = died
        self._command = command
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Lets the worker put its job back and go; kills it if it does not."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        deaths = 0
        while not self._over.wait(_WAITS[min(deaths, len(_WAITS) - 1)]):
            name = f"worker-{uuid.uuid4().hex[:8]}"
            self.process = process = subprocess.Popen(
                [*self._command, "--root", str(self._root), "--name", name]
            )
            ticks = 0
            while process.poll() is None and not self._over.wait(_LOOK):
                ticks += 1
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            self._died(name)
            deaths = 0 if ticks * _LOOK > 60 else deaths + 1
