"""All routes, below /api: a script can do whatever a person can. Documented at /docs."""

from __future__ import annotations

from fastapi import APIRouter

from studio.api.editing import editing_routes
from studio.api.footage import footage_routes
from studio.api.library import library_routes
from studio.api.media import media_routes
from studio.api.projects import project_routes
from studio.api.queue import queue_routes
from studio.api.rendering import rendering_routes
from studio.api.routing import routing_routes
from studio.api.storage import storage_routes
from studio.service.studio import Service


def routes(service: Service) -> APIRouter:
    """The routers of all subjects."""
    router = APIRouter(prefix="/api")
    for subject in (
        project_routes,
        storage_routes,
        editing_routes,
        rendering_routes,
        queue_routes,
        library_routes,
        footage_routes,
        routing_routes,  # before the files of takes, whose last part may be any word
        media_routes,
    ):
        router.include_router(subject(service))
    return router
