"""Renders one claimed shot.

download the model and LoRAs if need be ─► freeze the request ─► load the model ─► render
─► files among the artifacts ─► commit the take
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, wait
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy.orm import Session

from moc_engine.contract import RenderResult
from moc_engine.errors import RenderCancelled
from moc_engine.files import scratch_folder
from studio.domain.errors import DatabaseAway, Refused, TransactionLost
from studio.domain.inputs import RenderingModel
from studio.domain.messages import message
from studio.jobs import renders
from studio.jobs.job import Progress
from studio.jobs.renders import CollectedTake, FrozenRequest, RenderClaim, Weights
from studio.store import artifact_rows
from studio.store.artifacts import Artifact, Artifacts
from studio.store.clock import database_time
from studio.store.database import Database
from studio.worker.analysis_job import AnalysisJobs
from studio.worker.download_job import DownloadJobs
from studio.worker.renderers import MakeRenderer
from studio.worker.running_job import RunningJob

if TYPE_CHECKING:
    from moc_engine.contract import Renderer

_COMMIT_SECONDS: Final = 600.0
"""How long a finished take waits for a database that is away."""

_LOOK: Final = 0.25
"""Seconds between two looks at whether a job that waits for its renderer is to end."""


class RenderJobs:
    """Carries out render jobs, one at a time; the renderer of the last model is kept."""

    def __init__(
        self,
        database: Database,
        artifacts: Artifacts,
        scratch: Path,
        make: MakeRenderer,
        analyses: AnalysisJobs,
        downloads: DownloadJobs,
    ) -> None:
        self._database = database
        self._artifacts = artifacts
        self._scratch = scratch
        self._make = make
        self._renderer: tuple[str | None, Future[Renderer]] | None = None
        self._loader: threading.Thread | None = None
        self._analyses = analyses
        self._downloads = downloads

    def carry_out(self, job: RunningJob, claim: RenderClaim) -> None:
        """From the claim to the stored take. Raises what hinders it, and `RenderCancelled`."""
        weights = self._database.transact(
            lambda session: renders.begin(session, claim), project=claim.project
        )
        if self._downloads.fetch(weights.model, weights.loras, job):
            with self._database.read() as session:
                weights = renders.weights_of(session, claim)
        model = self._analyses.rendering_model(weights.model, weights.loras, job)  # may take long
        frozen = self._database.transact(
            lambda session: _frozen(session, claim, weights, model), project=claim.project
        )
        if frozen is None:
            return
        with scratch_folder(self._scratch) as folder:
            result = self._render(frozen, folder, job)
            job.report(Progress(stage="keep"))
            with self._database.read() as session:
                now = database_time(session)

            def commit(artifacts: list[Artifact]) -> None:
                collected = renders.collect_take(frozen, result, artifacts, self._artifacts, now)
                self._commit(claim, frozen, collected, job)

            artifact_rows.stored(self._artifacts, renders.files_of(result), commit)

    def _commit(
        self, claim: RenderClaim, frozen: FrozenRequest, collected: CollectedTake, job: RunningJob
    ) -> None:
        """Stores a finished take. While the database is away it waits: the render took longer than that."""
        until = time.monotonic() + _COMMIT_SECONDS
        while True:
            try:
                self._database.transact(
                    lambda session: renders.commit_take(session, claim, frozen, collected),
                    project=claim.project,
                )
                return
            except (TransactionLost, DatabaseAway):
                if time.monotonic() >= until or job.is_stopped:
                    raise

    def _render(self, frozen: FrozenRequest, folder: Path, job: RunningJob) -> RenderResult:
        job.report(Progress(stage="load"))
        request = renders.engine_request(frozen, self._artifacts, folder)
        rendering = self._renderer_of(frozen.model, job).render(request, job.token)
        while True:
            try:
                job.report_event(next(rendering))
            except StopIteration as stop:
                result: RenderResult = stop.value
                return result

    def _renderer_of(self, model: str | None, job: RunningJob) -> Renderer:
        """The renderer of a model. A job that is to end does not wait for it; later jobs find it made."""
        if self._renderer is None or self._renderer[0] != model:
            self._renderer = model, self._begin_making(model)
        making = self._renderer[1]
        while not making.done():
            if job.token.is_set():
                raise RenderCancelled("the render was cancelled")
            wait((making,), timeout=_LOOK)
        try:
            return making.result()
        except BaseException:
            self._renderer = None
            raise

    def _begin_making(self, model: str | None) -> Future[Renderer]:
        """Makes a renderer in a thread that does not keep the process alive, after the one before it."""
        future: Future[Renderer] = Future()
        before = self._loader

        def make() -> None:
            if before is not None:
                before.join()
            try:
                future.set_result(self._make(model))
            except BaseException as error:
                future.set_exception(error)

        self._loader = threading.Thread(target=make, name="load", daemon=True)
        self._loader.start()
        return future


def _frozen(
    session: Session, claim: RenderClaim, weights: Weights, model: RenderingModel
) -> FrozenRequest | None:
    """What the job renders; None where its take is there already, which ends the job. Raises `Refused`."""
    if renders.weights_of(session, claim) != weights:
        raise Refused(message("model-changed"))
    frozen = renders.freeze_request(session, claim, model)
    if frozen.finished is None:
        return frozen
    renders.commit_take(session, claim, frozen, None)
    return None
