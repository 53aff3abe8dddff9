"""The process that renders: takes one job after the other from the queue.

    claim ─► freeze what it sees ─► render, with signs of life ─► files in place ─► commit

    python -m studio.worker --root FOLDER

It may be killed at any point: what was committed stays, what was not is rendered again. Told to stop
(SIGTERM), it lets the job at hand wait again; once its parent is gone, it ends after the job at hand.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import SQLAlchemyError

from moc_engine.contract import RenderEvent, RenderResult, StepEvent
from moc_engine.errors import EngineError, RenderCancelled
from moc_engine.files import remove_abandoned, scratch_folder
from studio.domain.errors import LostClaim, StudioError
from studio.jobs import queue, renders
from studio.jobs.job import BEAT, LEASE, Claim, Progress
from studio.jobs.renders import Frozen
from studio.store.artifacts import Artifacts
from studio.store.database import Database
from studio.store.model_identity import identify
from studio.store.os_errors import os_errors_as_studio_errors
from studio.store.upgrade import open_database
from studio.worker.renderers import MakeRenderer, load_renderer
from studio.worker.supervisor import PARENT

if TYPE_CHECKING:
    from moc_engine.contract import Renderer

IDLE: Final = 0.25
"""Seconds between two looks at an empty queue."""

OUT_OF_MEMORY: Final = (
    "this machine ran out of memory: close other programs, choose a smaller size, or shorten the shot"
)

log = logging.getLogger(__name__)


class Worker:
    """Renders jobs of one studio until it is stopped."""

    def __init__(
        self,
        root: Path,
        make_renderer: MakeRenderer,
        *,
        database: Database,
        name: str,
        parent: int | None = None,
        lease: float = LEASE,
    ) -> None:
        self.name = name
        self.stop = threading.Event()
        self._database = database
        self._artifacts = Artifacts(root)
        self._scratch = root / "scratch"
        self._make = make_renderer
        self._renderer: tuple[str | None, Future[Renderer]] | None = None
        self._loader = ThreadPoolExecutor(max_workers=1, thread_name_prefix="load")
        self._models: dict[str | None, str] = {}
        self._parent = os.getppid() if parent is None else parent
        self._lease = lease

    def run(self) -> None:
        """Works until `stop` is set or the process that started it is gone."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        while not self.stop.is_set() and os.getppid() == self._parent:
            if not self.work_once():
                self.stop.wait(IDLE)

    def work_once(self) -> bool:
        """Claims and carries out one job; whether there was one."""
        with self._database.write() as session:
            claim = queue.claim(session, self.name, time.time(), self._lease)
        if claim is None:
            return False
        try:
            with _Held(self._database, claim, self.stop) as hold:
                self._carry_out(claim, hold)
        except LostClaim:
            log.warning("job %d went to another worker", claim.job)
        return True

    def _carry_out(self, claim: Claim, hold: _Held) -> None:
        try:
            with self._database.write() as session:
                frozen = renders.freeze(session, claim, self._identify)
                if frozen.finished is not None:
                    renders.commit(session, claim, frozen, None, time.time())
                    return
            with os_errors_as_studio_errors(self._scratch), scratch_folder(self._scratch) as folder:
                result = self._render(frozen, folder, claim, hold)
                hold.say(Progress(stage="keep"))
                made = renders.gather(frozen, result, self._artifacts, time.time())
                with self._database.write() as session:
                    renders.commit(session, claim, frozen, made, time.time())
        except RenderCancelled:
            with self._database.write() as session:
                if hold.cancelled:
                    queue.give_up(session, claim, time.time())
                else:
                    queue.hand_back(session, claim, time.time())
        except (StudioError, EngineError, ValueError) as error:
            if isinstance(error, LostClaim):
                raise
            self._fail(claim, str(error))
        except MemoryError:
            self._fail(claim, OUT_OF_MEMORY)
        except SQLAlchemyError:
            raise
        except Exception as error:
            log.exception("job %d", claim.job)
            self._fail(
                claim, f"something unexpected happened ({type(error).__name__}: {error}); see logs/worker.log"
            )

    def _render(self, frozen: Frozen, folder: Path, claim: Claim, hold: _Held) -> RenderResult:
        request = renders.request_of(frozen, self._artifacts, folder)
        rendering = self._renderer_of(frozen.model, hold).render(request, hold.token)
        while True:
            try:
                hold.tell(next(rendering))
            except StopIteration as stop:
                result: RenderResult = stop.value
                return result

    def _renderer_of(self, model: str | None, hold: _Held) -> Renderer:
        """The renderer of a model. A job that is to end does not wait for it; later ones find it there."""
        if self._renderer is None or self._renderer[0] != model:
            self._renderer = model, self._loader.submit(self._make, model)
        loading = self._renderer[1]
        while not loading.done():
            hold.say(Progress(stage="load"))
            if hold.token.is_set():
                raise RenderCancelled("the render was cancelled")
            wait((loading,), timeout=_LOOK)
        try:
            return loading.result()
        except BaseException:
            self._renderer = None
            raise

    def _fail(self, claim: Claim, error: str) -> None:
        with self._database.write() as session:
            queue.fail(session, claim, error, time.time())

    def _identify(self, model: str | None) -> str:
        if model not in self._models:
            self._models[model] = identify(model)
        return self._models[model]


class _Held:
    """A claim while it is worked on: beats beside the work, and stops it once it is to end.

    `token` is what the renderer looks at; `cancelled` says whether a person asked for the end.
    """

    def __init__(self, database: Database, claim: Claim, stop: threading.Event) -> None:
        self.cancelled = False
        self.token = _Token(stop)
        self._database = database
        self._claim = claim
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._told = 0.0

    def __enter__(self) -> _Held:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def tell(self, event: RenderEvent) -> None:
        """Passes on what the renderer reports, a few times a second."""
        if isinstance(event, StepEvent):
            progress = Progress(
                stage=event.stage, step=event.step, steps=event.steps, seconds_left=event.seconds_left
            )
            if event.preview is None and time.monotonic() - self._told < _EVERY:
                return
            self.say(progress, event.preview)
        else:
            self.say(Progress(stage=event.stage))

    def say(self, progress: Progress, picture: bytes | None = None) -> None:
        """Notes how far the job is."""
        self._told = time.monotonic()
        with self._database.write() as session:
            goes_on = queue.report(session, self._claim, progress, picture, time.time())
        self._note(goes_on)

    def _beat(self) -> None:
        while not self._over.wait(self._claim.lease * BEAT / LEASE):
            try:
                with self._database.write() as session:
                    goes_on = queue.beat(session, self._claim, time.time())
            except (StudioError, SQLAlchemyError):  # lost, or over meanwhile: the work itself will find out
                self.token.set()
                return
            self._note(goes_on)

    def _note(self, goes_on: bool) -> None:
        if not goes_on:
            self.cancelled = True
            self.token.set()


_EVERY: Final = 0.25
_LOOK: Final = 1.0
"""Seconds between two looks at a model that is being loaded."""


class _Token:
    """Set by the job's own end or by that of the worker."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._own = threading.Event()

    def set(self) -> None:
        self._own.set()

    def is_set(self) -> bool:
        return self._own.is_set() or self._stop.is_set()


def main(make_renderer: MakeRenderer = load_renderer) -> int:
    """The worker as a process."""
    parser = argparse.ArgumentParser(prog="python -m studio.worker", description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, metavar="DIR", help="the studio's folder")
    parser.add_argument("--name", default=f"worker-{os.getpid()}", help="what it is called in the queue")
    parser.add_argument(
        "--lease",
        type=float,
        default=LEASE,
        metavar="SECONDS",
        help="how long it may give no sign of life before its job is another's (default: %(default)g)",
    )
    args = parser.parse_args()
    _log_to(args.root / "logs")
    remove_abandoned(args.root / "scratch")
    Artifacts(args.root).remove_abandoned()
    worker = Worker(
        args.root,
        make_renderer,
        database=open_database(args.root),
        name=args.name,
        parent=int(os.environ.get(PARENT, os.getppid())),
        lease=args.lease,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop.set())
    worker.run()
    return 0


def _log_to(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=folder / "worker.log",
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
    )
