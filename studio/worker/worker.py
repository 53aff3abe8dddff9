"""Carries out the jobs of a studio, one after the other.

A worker may be killed at any point: what was committed stays, what was not is done again. Told to stop, it
hands its job back to the queue.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final, assert_never

from sqlalchemy.exc import OperationalError, SQLAlchemyError

from moc_engine.errors import RenderCancelled
from studio.domain.errors import LostClaim, OutputFailed
from studio.jobs import claims
from studio.jobs.job import HEARTBEAT, LEASE, Claim
from studio.jobs.order import AnalysisOrder, DownloadOrder, FootageOrder, RenderOrder, UnknownOrder
from studio.jobs.renders import RenderClaim
from studio.store.artifact_place import artifacts_at
from studio.store.artifacts import Artifacts
from studio.store.database import Database
from studio.store.footage_files import FootageFiles
from studio.store.lora_identity import LoraIdentities
from studio.store.model_identity import MODEL_CACHE, ModelIdentities
from studio.worker.analysis_job import AnalysisJobs
from studio.worker.download_job import DownloadJobs
from studio.worker.failures import explain, is_expected
from studio.worker.footage_job import FootageJobs
from studio.worker.render_job import RenderJobs
from studio.worker.renderers import MakeRenderer
from studio.worker.running_job import RunningJob

IDLE: Final = 0.25
"""Seconds between two looks at an empty queue."""

log = logging.getLogger(__name__)


class Worker:
    """Carries out the jobs of one studio until `stop` is set.

    `artifacts` are where it keeps files: the studio's folder where None.
    """

    def __init__(
        self,
        root: Path,
        make_renderer: MakeRenderer,
        *,
        database: Database,
        name: str,
        lease: float = LEASE,
        artifacts: Artifacts | None = None,
    ) -> None:
        self.name = name
        self.stop = threading.Event()
        self.job: RunningJob | None = None
        self._database = database
        self._scratch = root / "scratch"
        self._analyses = AnalysisJobs(
            database, ModelIdentities(root / MODEL_CACHE), LoraIdentities(root / MODEL_CACHE)
        )
        self._footage = FootageJobs(database, FootageFiles(root))
        self._downloads = DownloadJobs(database)
        self._renders = RenderJobs(
            database,
            artifacts or artifacts_at(root),
            self._scratch,
            make_renderer,
            self._analyses,
            self._downloads,
        )
        self._lease = lease

    def run(self, goes_on: Callable[[], bool] = lambda: True) -> None:
        """Works until `stop` is set, or `goes_on` is false between two jobs.

        Where the queue cannot be written, as on a full disk, a job is left to its lease.
        """
        while not self.stop.is_set() and goes_on():
            try:
                worked = self.work_once()
            except (OutputFailed, OperationalError) as error:
                log.warning("the queue cannot be written: %s", error)
                self.stop.wait(self._lease * HEARTBEAT / LEASE)
            else:
                if not worked:
                    self.stop.wait(IDLE)

    def work_once(self) -> bool:
        """Claims and carries out one job; returns whether there was one.

        An interrupt (`KeyboardInterrupt`) hands the job back.
        """
        with self._database.read() as session:
            if not claims.is_due(session):
                return False
        claim = self._database.transact(
            lambda session: claims.claim(session, self.name, self._lease), shared=True
        )
        if claim is None:
            return False
        try:
            with RunningJob(self._database, claim, self.stop) as self.job:
                self._carry_out(self.job)
        except LostClaim:
            log.warning("job %d went to another worker", claim.job)
        finally:
            self.job = None
        return True

    def _carry_out(self, job: RunningJob) -> None:
        try:
            self._dispatch(job, job.claim)
        except RenderCancelled:
            job.end_early()
        except (LostClaim, SQLAlchemyError):
            raise
        except Exception as error:
            if not is_expected(error):
                log.exception("job %d", job.claim.job)
            job.fail(explain(error, self._scratch))
        except BaseException:
            job.end_early()
            raise

    def _dispatch(self, job: RunningJob, claim: Claim) -> None:
        match claim.order:
            case RenderOrder() as order:
                assert claim.project is not None, "a render belongs to a project"
                self._renders.carry_out(job, RenderClaim(claim=claim, project=claim.project, order=order))
            case AnalysisOrder() as order:
                self._analyses.carry_out(job, order)
            case FootageOrder() as order:
                self._footage.carry_out(job, order)
            case DownloadOrder() as order:
                self._downloads.carry_out(job, order)
            case UnknownOrder():
                raise AssertionError("such a job is not handed out")
            case _:
                assert_never(claim.order)
