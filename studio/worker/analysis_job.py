"""Reads the files of models for their identities."""

from __future__ import annotations

from typing import Final

from studio.jobs import claims
from studio.jobs.job import Progress
from studio.jobs.order import AnalysisOrder
from studio.store.database import Database
from studio.store.model_identity import ModelIdentities
from studio.store.rename_rows import adopt_model
from studio.worker.running_job import RunningJob

MEGABYTE: Final = 2**20


class AnalysisJobs:
    """Carries out analysis jobs. The digests of files are cached for all processes of the studio."""

    def __init__(self, database: Database, identities: ModelIdentities) -> None:
        self._database = database
        self._identities = identities
        self._adopted: set[str | None] = set()

    def carry_out(self, job: RunningJob, order: AnalysisOrder) -> None:
        """Reads a model; the result is its identity. Raises `ModelNotFound` and `RenderCancelled`."""
        identity = self.identify(order.model, job)
        with self._database.write() as session:
            claims.finish(session, job.claim, identity)

    def identify(self, model: str | None, job: RunningJob) -> str:
        """The identity of a model, whose files are read where they have changed: that may take minutes.

        Takes that version 0.1 made with the model get this identity too. Reports the megabytes read, and
        raises `RenderCancelled` where the job is to end.
        """
        reading = self._identities.compute(model, job.token)
        while True:
            try:
                read = next(reading)
            except StopIteration as stop:
                identity: str = stop.value
                break
            job.report_step(Progress(stage="load", step=read.done // MEGABYTE, steps=read.total // MEGABYTE))
        if model not in self._adopted:
            with self._database.write() as session:
                adopt_model(session, model, identity)
            self._adopted.add(model)
        return identity
