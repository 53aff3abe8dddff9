"""Routes of the render queue and its jobs."""

from __future__ import annotations

from fastapi import APIRouter, Response

from studio.api.error_answers import ERRORS
from studio.api.request_models import JobId, MoveJobRequest, PauseRequest
from studio.service.queue import QueueState
from studio.service.studio import Service


def queue_routes(service: Service) -> APIRouter:
    router = APIRouter(tags=["queue"], responses=ERRORS)
    queue = service.queue

    @router.get("/queue", summary="Read the queue")
    def read_queue() -> QueueState:
        """The jobs of all projects that run or wait, and those that ended lately."""
        return queue.state()

    @router.post("/queue/pause", status_code=204, summary="Pause or resume the queue")
    def pause_queue(body: PauseRequest) -> None:
        """A paused queue starts no jobs; what runs goes on."""
        queue.pause(body.paused)

    @router.post("/queue/clear", status_code=204, summary="Clear finished jobs")
    def clear_queue() -> None:
        """Removes the jobs that ended."""
        queue.clear()

    @router.post("/jobs/{job}/cancel", status_code=204, summary="Cancel a job")
    def cancel_job(job: JobId) -> None:
        """Cancels a job: at once if it waits, within a step if it runs."""
        queue.cancel(job)

    @router.post("/jobs/{job}/retry", status_code=204, summary="Retry a job")
    def retry_job(job: JobId) -> None:
        """Queues a job again that failed, was cancelled or parked."""
        queue.retry(job)

    @router.post("/jobs/{job}/move", status_code=204, summary="Move a job")
    def move_job(job: JobId, body: MoveJobRequest) -> None:
        """Moves a waiting job before another, or to the end."""
        queue.move(job, body.before)

    @router.get(
        "/jobs/{job}/preview",
        summary="Read a job's preview",
        response_class=Response,
        responses={200: {"content": {"image/png": {}}}},
    )
    def read_preview(job: JobId) -> Response:
        """The latest preview picture of a running job, PNG."""
        picture = queue.preview(job)
        return Response(picture, media_type="image/png", headers={"cache-control": "no-store"})

    return router
