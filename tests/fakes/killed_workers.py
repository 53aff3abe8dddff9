"""Workers that are killed in the midst of a render: python -m tests.fakes.killed_workers ROOT…

One for each studio, killed in the second step of the second render. All are forks of one process, which has
imported the engine and computed nothing.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from studio.store.upgrade import open_database
from studio.worker.renderers import RendererOptions
from studio.worker.worker import Worker
from tests.fakes.staged import StagedRenderer

NAME = "killed"
"""What each of these workers is called."""


def work(root: Path) -> None:
    """Renders a shot, and dies at the next one."""
    made = 0

    def at(moment: str) -> None:
        nonlocal made
        made += moment == "made"
        if (made, moment) == (1, "denoise 1"):
            os.kill(os.getpid(), signal.SIGKILL)

    def make(model: str | None) -> StagedRenderer:
        renderer = StagedRenderer(RendererOptions().make_renderer(model))
        renderer.at = at
        return renderer

    worker = Worker(root, make, database=open_database(root), name=NAME)
    while worker.work_once():
        pass


def main() -> int:
    import moc_engine.models.hunyuan.loader
    import moc_engine.models.wan.loader
    import moc_engine.render.renderer  # noqa: F401

    for root in sys.argv[1:]:
        process = os.fork()
        if process == 0:
            work(Path(root))
            os._exit(0)
        _, status = os.waitpid(process, 0)
        if not os.WIFSIGNALED(status) or os.WTERMSIG(status) != signal.SIGKILL:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
