"""Routes of storage: files that nothing needs, the bin, discarded takes."""

from __future__ import annotations

from fastapi import APIRouter

from studio.api.error_answers import ERRORS
from studio.api.request_models import ProjectId
from studio.service.storage import FreedSpace
from studio.service.studio import Service


def storage_routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["storage"], responses=ERRORS)
    storage = service.storage

    @router.post("/bin/empty", summary="Empty the bin")
    def empty_bin() -> FreedSpace:
        """Deletes the projects in the bin with their takes, for good."""
        return storage.empty_bin()

    @router.post("/projects/{project}/discarded/delete", summary="Delete discarded takes")
    def delete_discarded_takes(project: ProjectId) -> FreedSpace:
        """Deletes the takes of a project that were discarded, for good."""
        return storage.delete_discarded(project)

    return router
