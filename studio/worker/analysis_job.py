"""Reads the files of models for their identities."""

from __future__ import annotations

from collections.abc import Collection, Generator
from typing import Final, TypeVar

from moc_engine.model_abilities import model_abilities
from studio.domain.inputs import RenderingModel
from studio.jobs import claims
from studio.jobs.job import Progress
from studio.jobs.order import AnalysisOrder
from studio.store.database import Database
from studio.store.lora_identity import LoraIdentities
from studio.store.model_identity import Hashing, ModelIdentities
from studio.store.rename_rows import adopt_model
from studio.worker.running_job import RunningJob

MEGABYTE: Final = 2**20

T = TypeVar("T")


class AnalysisJobs:
    """Carries out analysis jobs. The digests of files are cached for all processes of the studio."""

    def __init__(self, database: Database, identities: ModelIdentities, loras: LoraIdentities) -> None:
        self._database = database
        self._identities = identities
        self._loras = loras
        self._adopted: set[str | None] = set()

    def carry_out(self, job: RunningJob, order: AnalysisOrder) -> None:
        """Reads a model; the result is its identity. Raises `ModelNotFound` and `RenderCancelled`."""
        identity = self.identify(order.model, job)
        with self._database.write() as session:
            claims.finish(session, job.claim, identity)

    def rendering_model(self, model: str | None, loras: Collection[str], job: RunningJob) -> RenderingModel:
        """What planning knows of a model and of these LoRAs, whose files are read. As `identify`."""
        return RenderingModel(
            identity=self.identify(model, job),
            abilities=model_abilities(model),
            loras=_reported(self._loras.compute(loras, job.token), job),
        )

    def identify(self, model: str | None, job: RunningJob) -> str:
        """The identity of a model, whose files are read where they have changed: that may take minutes.

        Takes that version 0.1 made with the model get this identity too. Reports the megabytes read, and
        raises `RenderCancelled` where the job is to end.
        """
        identity = _reported(self._identities.compute(model, job.token), job)
        if model not in self._adopted:
            with self._database.write() as session:
                adopt_model(session, model, identity)
            self._adopted.add(model)
        return identity


def _reported(reading: Generator[Hashing, None, T], job: RunningJob) -> T:
    """What a reading returns; the job reports the megabytes read."""
    while True:
        try:
            read = next(reading)
        except StopIteration as stop:
            result: T = stop.value
            return result
        job.report_step(Progress(stage="load", step=read.done // MEGABYTE, steps=read.total // MEGABYTE))
