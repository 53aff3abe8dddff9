"""The worker as a process: `python -m studio.worker --root FOLDER`, or `moc-studio worker`.

The main thread waits for signals while another one works, so that a stop is heard during long native calls.
Told to stop (SIGTERM, SIGINT), the process hands its job back and ends, whether or not the job comes to an
end in time. Once its parent is gone, it ends after the job at hand.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
from pathlib import Path
from typing import Final

from moc_engine.files import remove_abandoned
from moc_engine.processes import ProcessMark
from studio.domain.errors import StudioError
from studio.store import artifact_home
from studio.store.upgrade import open_database
from studio.worker.artifact_options import ArtifactOptions
from studio.worker.options import add_options
from studio.worker.parent import parent
from studio.worker.renderers import MakeRenderer, RendererOptions
from studio.worker.worker import Worker

STOP_SECONDS: Final = 5.0
"""How long a job may take to end after a stop or its cancellation, before the process ends without it."""

_LOOK: Final = 0.25

log = logging.getLogger(__name__)


class WorkerProcess:
    """Runs a worker in a thread of its own and ends with it, or without it where it does not listen."""

    def __init__(
        self, worker: Worker, parent: ProcessMark | None, stop_seconds: float = STOP_SECONDS
    ) -> None:
        self._worker = worker
        self._parent = parent
        self._stop_seconds = stop_seconds
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="worker", daemon=True)

    def run(self) -> bool:
        """Returns True once the worker ended, and False where its thread still runs and is to be abandoned.

        Raises what ended the worker.
        """
        self._thread.start()
        while self._thread.is_alive() and not self._worker.stop.wait(_LOOK):
            job = self._worker.job
            if job is not None and job.ignored_its_end(self._stop_seconds):
                log.warning("job %d was cancelled and does not end; the process ends instead", job.claim.job)
                break
        else:
            self._thread.join(self._stop_seconds)
        if self._thread.is_alive():
            self._abandon()
            return False
        if self._error is not None:
            raise self._error
        return True

    def _work(self) -> None:
        try:
            self._worker.run(lambda: self._parent is None or self._parent.is_running())
        except BaseException as error:
            log.exception("the worker ended")
            self._error = error

    def _abandon(self) -> None:
        """Takes the job from the worker's thread, whose later reports do not count."""
        job = self._worker.job
        if job is not None:
            try:
                job.end_early()
            except StudioError as error:  # it ended or was lost this moment
                log.info("job %d: %s", job.claim.job, error)


def main(make_renderer: MakeRenderer | None = None) -> int:
    """Runs a worker until it is told to stop; returns the exit code.

    It renders by the engine where `make_renderer` is None.
    """
    parser = argparse.ArgumentParser(prog="python -m studio.worker", description="Renders a studio's jobs.")
    parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="the studio's folder")
    parser.add_argument(
        "--database",
        default=os.environ.get("MOC_STUDIO_DATABASE") or None,
        metavar="URL",
        help="its database (default: $MOC_STUDIO_DATABASE, else a file in the folder)",
    )
    ArtifactOptions.add_to(parser)
    add_options(parser)
    args = parser.parse_args()
    return run(args, make_renderer or RendererOptions.of(args).make_renderer)


def run(args: argparse.Namespace, make_renderer: MakeRenderer) -> int:
    """Runs a worker by its options and the studio's `root`, as `main`."""
    _log_to(args.root / "logs")
    started_by = parent()  # asked first, as it may end any moment
    remove_abandoned(args.root / "scratch")
    database, artifacts = open_database(args.root, args.database), ArtifactOptions.of(args).opened(args.root)
    artifact_home.open_home(database, artifacts)
    artifacts.remove_abandoned()
    worker = Worker(
        args.root,
        make_renderer,
        database=database,
        name=args.name,
        lease=args.lease,
        artifacts=artifacts,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop.set())
    WorkerProcess(worker, started_by).run()
    if threading.active_count() > 1:  # still in a job or loading: it would hold up the usual exit, or crash
        logging.shutdown()
        os._exit(0)
    return 0


def _log_to(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=folder / "worker.log",
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
    )
