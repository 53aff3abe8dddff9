"""A studio in processes of its own: a real web process, and a worker that draws flat colours.

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
from pathlib import Path

from tests.fakes.renderer import FakeRenderer

STEP = "FAKE_STEP_SECONDS"


class Studio:
    """A running studio; `url` is where it is."""

    def __init__(self, root: Path, *, step_seconds: float = 0.05) -> None:
        self.root = root
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {**os.environ, STEP: str(step_seconds), "PYTHONWARNINGS": "ignore"}
        self.start()

    def start(self) -> None:
        """Starts the web process and waits until it answers."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.studio", "--root", str(self.root), "--port", str(self.port)],
            env=self._environment,
        )
        end = time.monotonic() + 90
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/api/projects", timeout=5):
                    return
            except OSError:
                if time.monotonic() > end or self.process.poll() is not None:
                    raise
                time.sleep(0.1)

    def kill(self) -> None:
        """Kills the web process as `kill -9` does."""
        self.process.kill()
        self.process.wait()

    def workers(self) -> list[int]:
        """The process ids of the studio's workers."""
        found = subprocess.run(
            ["pgrep", "-f", f"tests.fakes.studio --root {self.root} --name"],
            capture_output=True,
            text=True,
            check=False,
        )
        return [int(line) for line in found.stdout.split()]

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()


def _serve(root: Path, port: int) -> None:
    import uvicorn

    from studio.app import make_app
    from studio.service import Service
    from studio.store.upgrade import open_database
    from studio.supervisor import Supervisor

    service = Service(root, open_database(root))
    supervisor = Supervisor(root, service.worker_died, command=(sys.executable, "-m", "tests.fakes.studio"))
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
    from studio.worker import main as work

    pause = float(os.environ.get(STEP, "0.05"))
    work(lambda model: FakeRenderer(lambda shot, step: time.sleep(pause)))


if __name__ == "__main__":
    main()
