"""A studio in processes of its own: a real web process, and a worker that draws flat colours, or a real one.

python -m tests.fakes.studio --root DIR --port N      the web process
python -m tests.fakes.studio --root DIR --name NAME   its worker
"""

from __future__ import annotations

import argparse
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from studio.store.clip_file import png
from tests.fakes.renderer import STEPS, FakeRenderer

STEP = "FAKE_STEP_SECONDS"
REAL = "FAKE_NOTHING"
HELD = "renders-are-held"

START = 300
"""Seconds in which a studio must have started: all tests of a session share one."""


class Studio:
    """A running studio; `url` is where it is.

    With `real` its worker is the one there is, with the model that comes with the engine.
    """

    def __init__(self, root: Path, *, step_seconds: float = 0.05, real: bool = False) -> None:
        self.root = root
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {**os.environ, STEP: str(step_seconds), "PYTHONWARNINGS": "ignore"}
        self._environment[REAL] = "1" if real else ""
        self.start()

    def start(self) -> None:
        """Starts the web process and waits until it answers."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.studio", "--root", str(self.root), "--port", str(self.port)],
            env=self._environment,
        )
        end = time.monotonic() + START
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/api/projects", timeout=5):
                    return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    self.kill()
                    raise
                time.sleep(0.1)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Within this no shot ends whose caption says "held"."""
        (self.root / HELD).touch()
        try:
            yield
        finally:
            (self.root / HELD).unlink()

    def resume(self) -> None:
        """Lets the queue go on."""
        request = urllib.request.Request(f"{self.url}/api/queue/pause", data=b'{"paused": false}')
        request.add_header("content-type", "application/json")
        urllib.request.urlopen(request).close()

    def kill(self) -> None:
        """Kills the web process as `kill -9` does."""
        self.process.kill()
        self.process.wait()

    def workers(self) -> list[int]:
        """The process ids of the studio's workers."""
        children = psutil.Process(self.process.pid).children()
        return [child.pid for child in children if "--name" in child.cmdline()]

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()


class _Renderer(FakeRenderer):
    """Takes half a second to a step where the caption says "slowly"; finds no memory where it says "huge".

    The last step waits where it says "held", as long as the studio's folder says so.

    Its previews are black.
    """

    def __init__(self, pause: float, root: Path) -> None:
        super().__init__(self._befall, preview=png(np.zeros((9, 16, 3), np.uint8)))
        self._pause = pause
        self._held = root / HELD

    def _befall(self, shot: int, step: int) -> None:
        caption = self.requests[-1].caption
        if "huge" in caption and step == 2:
            raise MemoryError
        while "held" in caption and step == STEPS - 1 and self._held.exists():
            time.sleep(0.02)
        time.sleep(0.5 if "slowly" in caption else self._pause)


def _serve(root: Path, port: int) -> None:
    import uvicorn

    from studio.service.studio import Service
    from studio.store.upgrade import open_database
    from studio.web.app import make_app
    from studio.worker.supervisor import WORKER, Supervisor

    service = Service(root, open_database(root))
    command = WORKER if os.environ.get(REAL) else (sys.executable, "-m", "tests.fakes.studio")
    supervisor = Supervisor(root, service.queue, command)
    uvicorn.run(make_app(service, supervisor), host="127.0.0.1", port=port, log_level="error")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--port", type=int)
    parser.add_argument("--name")
    args = parser.parse_args()
    if args.port is not None:
        _serve(args.root, args.port)
        return
    from studio.worker.process import main as work

    work(lambda model: _Renderer(float(os.environ.get(STEP, "0.05")), args.root))


if __name__ == "__main__":
    main()
