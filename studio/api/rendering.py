"""Routes that plan renders and queue them."""

from __future__ import annotations

from collections.abc import Collection

from fastapi import APIRouter

from studio.api.error_answers import ERRORS
from studio.api.request_models import ProjectId, RenderRequest, RerollRequest, ScheduleRequest
from studio.domain.planner import Scope
from studio.service.needs import RenderNeedState
from studio.service.rendering import PlannedRender
from studio.service.schedules import RenderSchedule
from studio.service.studio import Service


def rendering_routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/projects/{project}", tags=["rendering"], responses=ERRORS)
    rendering = service.rendering

    @router.post("/plan", summary="Plan a render")
    def plan(project: ProjectId, body: RenderRequest) -> tuple[PlannedRender, ...]:
        """The shots that a render would queue, why, and the expected seconds."""
        return rendering.plan(project, _scope(body))

    @router.post("/schedule", summary="Plan a render with several workers")
    def schedule(project: ProjectId, body: ScheduleRequest) -> RenderSchedule:
        """Which of the planned renders can run side by side, in which waves, and the expected time."""
        return service.schedules.of(project, rendering.plan(project, _scope(body)), body.workers)

    @router.get("/need", summary="Predict the memory of a render")
    def need(project: ProjectId) -> RenderNeedState | None:
        """What the film's longest shot will need of this machine; null where it is not predicted."""
        return service.needs.of(project)

    @router.post("/render", status_code=202, summary="Render shots")
    def render(project: ProjectId, body: RenderRequest) -> list[int]:
        """Queues renders; returns the numbers of the jobs."""
        return rendering.render(project, _scope(body))

    @router.post("/shots/{shot}/reroll", status_code=202, summary="Render a shot with other seeds")
    def reroll(project: ProjectId, shot: str, body: RerollRequest) -> list[int]:
        """Queues takes with new seeds and the context of the chosen take; returns the numbers of the jobs."""
        return rendering.reroll(project, shot, count=body.count, seed=body.seed)

    return router


def _scope(body: RenderRequest) -> Scope | Collection[str]:
    return body.scope if body.shots is None else body.shots
