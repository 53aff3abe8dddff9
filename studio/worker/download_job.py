"""Downloads models of the hub, and pins projects to what was downloaded."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from sqlalchemy.orm import Session

from moc_engine.model_library import is_missing_hub_model
from moc_engine.sources.hub_id import HubId, parse_hub_id
from studio.domain.edits.film import SetSettings
from studio.domain.errors import Refused
from studio.domain.messages import message
from studio.jobs import claims
from studio.jobs.job import Progress
from studio.jobs.order import DownloadOrder
from studio.store import projects, takes
from studio.store.clock import database_time
from studio.store.database import Database
from studio.worker.running_job import RunningJob

MEGABYTE: Final = 10**6


class DownloadJobs:
    """Carries out downloads. What was received of one that ended early stays for the next."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def carry_out(self, job: RunningJob, order: DownloadOrder) -> None:
        """Downloads a model; the result is its name with the commit. Raises as `fetch`, and `Refused`."""
        named = parse_hub_id(order.model)
        if named is None:
            raise Refused(message("model-not-on-hub", model=order.model))
        pinned = self._download(named, job)
        with self._database.write() as session:
            claims.finish(session, job.claim, pinned)

    def fetch(self, model: str | None, job: RunningJob) -> bool:
        """Downloads a model if it is one of the hub that is not on this machine; returns whether it did.

        Raises `ModelNotFound`, `ModelMismatch`, `DiskFull` and `RenderCancelled`.
        """
        named = None if model is None or not is_missing_hub_model(model) else parse_hub_id(model)
        if named is None:
            return False
        self._download(named, job)
        return True

    def _download(self, named: HubId, job: RunningJob) -> str:
        from moc_engine.sources.download import DownloadProgress, download  # they take a while to import

        def report(progress: DownloadProgress) -> None:
            done, total = progress.done // MEGABYTE, progress.total // MEGABYTE
            job.report_step(Progress(stage="download", step=done, steps=max(1, total)))

        job.report(Progress(stage="download"))
        pinned = str(download(named, report, job.token).id)
        with self._database.write() as session:
            pin_projects(session, str(named), pinned)
        return pinned


def pin_projects(session: Session, model: str, pinned: str) -> None:
    """Sets the model of the projects that name it so to its name with a commit."""
    for listed in projects.listed(session):
        stored = projects.load(session, listed.id)
        settings = stored.project.board.settings
        if model != pinned and model in (settings.model, settings.draft_model):
            known, now = takes.takes_of(session, listed.id), database_time(session)
            new = {name: pinned if name == model else name for name in (settings.model, settings.draft_model)}
            settings = replace(settings, model=new[settings.model], draft_model=new[settings.draft_model])
            edit = SetSettings(settings=settings)
            projects.apply(session, listed.id, edit, known, base=stored.revision, now=now)
