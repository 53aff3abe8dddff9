"""Downloads models and LoRAs of the hub, and pins projects to what was downloaded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from moc_engine.model_location import is_missing_hub_model
from moc_engine.sources.hub_id import HubFile, HubId, parse_hub_id, parse_hub_name
from moc_engine.sources.lora_source import missing_hub_file
from studio.domain.errors import Refused
from studio.domain.messages import message
from studio.jobs import claims
from studio.jobs.job import Progress
from studio.jobs.order import DownloadOrder
from studio.store.database import Database
from studio.store.pinning import pin
from studio.worker.running_job import RunningJob

MEGABYTE: Final = 10**6


class DownloadJobs:
    """Carries out downloads. What was received of one that ended early stays for the next."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def carry_out(self, job: RunningJob, order: DownloadOrder) -> None:
        """Downloads a model or LoRA; the result is its name with the commit.

        Raises as `fetch`, and `Refused`.
        """
        named = parse_hub_name(order.model)
        if named is None:
            raise Refused(message("model-not-on-hub", model=order.model))
        pinned = self._download(named, job)
        with self._database.write() as session:
            claims.finish(session, job.claim, pinned)

    def fetch(self, model: str | None, loras: Iterable[str], job: RunningJob) -> bool:
        """Downloads what of a model and these LoRAs is on the hub and not here; returns whether it did.

        Raises `ModelNotFound`, `ModelMismatch`, `DiskFull` and `RenderCancelled`.
        """
        missing: list[HubId | HubFile | None] = [missing_hub_file(lora) for lora in loras]
        if model is not None and is_missing_hub_model(model):
            missing.insert(0, parse_hub_id(model))
        named = [name for name in missing if name is not None]
        for name in named:
            self._download(name, job)
        return bool(named)

    def _download(self, named: HubId | HubFile, job: RunningJob) -> str:
        from moc_engine.sources.download import DownloadProgress, download  # they take a while to import

        def report(progress: DownloadProgress) -> None:
            done, total = progress.done // MEGABYTE, progress.total // MEGABYTE
            job.report_step(Progress(stage="download", step=done, steps=max(1, total)))

        job.report(Progress(stage="download"))
        pinned = str(download(named, report, job.token).id)
        if pinned != str(named):
            with self._database.write() as session:
                pin(session, str(named), pinned)
        return pinned
