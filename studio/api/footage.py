"""Routes of footage: long videos, where they are cut, edits of that, storyboard files."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from studio.api.bodies import storyboard_text, uploaded_file
from studio.api.error_answers import CONFLICT, ERRORS
from studio.api.request_models import UndoRequest
from studio.api.stored_file_response import StoredFileResponse
from studio.domain.footage_edits import FootageEdit
from studio.service.footage_state import FootageState, FootageSummary
from studio.service.studio import Service

UPLOADS: Final = ("/api/footage/upload",)
"""Routes whose bodies are videos."""

FootageId = Annotated[str, Path(pattern="^[0-9a-f]{16}$", description="The id of footage.")]

_IMMUTABLE: Final = {"cache-control": "private, max-age=31536000, immutable"}


class AddFootageRequest(BaseModel):
    """Where on this machine a video, a folder of videos or a storyboard of footage lies."""

    path: str = Field(min_length=1, max_length=4096)


class FootageEditRequest(BaseModel):
    """An edit of footage, and the revision that it was made on."""

    base: int
    edit: Annotated[FootageEdit, Field(discriminator="op")]


class FindCutsRequest(BaseModel):
    """How many times the change around it a cut's own must be; the usual threshold if null."""

    threshold: float | None = Field(default=None, gt=0, le=100)


def footage_routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/footage", tags=["footage"], responses=ERRORS)
    footage = service.footage

    @router.get("", summary="List footage")
    def list_footage() -> list[FootageSummary]:
        """The videos that are cut into shots here, the one added last first."""
        return footage.listed()

    @router.post("", status_code=201, summary="Add footage")
    def add_footage(body: AddFootageRequest) -> list[str]:
        """Adds a video of this machine, or those of a folder, and queues their reading; returns their ids."""
        return footage.add(body.path)

    @router.post("/upload", status_code=201, summary="Upload footage")
    async def upload_footage(request: Request, name: Annotated[str, Query(max_length=200)]) -> str:
        """Adds the video in the body, called `name`; returns its id."""
        async with uploaded_file(request, service.files) as video:
            return await run_in_threadpool(footage.add_upload, name, video)

    @router.post("/import", status_code=201, summary="Open a storyboard of footage")
    def open_storyboard(
        text: Annotated[str, Depends(storyboard_text)],
        name: Annotated[str, Query(max_length=200)] = "storyboard.yaml",
    ) -> list[str]:
        """Adds the videos that the storyboard in the body names, with its shots; returns their ids."""
        return footage.open_storyboard(text, name)

    @router.get("/{footage_id}", summary="Read footage")
    def read_footage(footage_id: FootageId) -> FootageState:
        """The shots of a video, where it lies, and the job that reads it."""
        return footage.state(footage_id)

    @router.post("/{footage_id}/edits", responses=CONFLICT, summary="Edit footage")
    def edit_footage(footage_id: FootageId, body: FootageEditRequest) -> FootageState:
        """Moves, removes or adds a cut, leaves a shot out, or sets its caption."""
        return footage.edit(footage_id, body.edit, body.base)

    @router.post("/{footage_id}/undo", responses=CONFLICT, summary="Undo an edit of footage")
    def undo_footage(footage_id: FootageId, body: UndoRequest) -> FootageState:
        """Undoes the last edit."""
        return footage.undo(footage_id, body.base)

    @router.post("/{footage_id}/redo", responses=CONFLICT, summary="Redo an edit of footage")
    def redo_footage(footage_id: FootageId, body: UndoRequest) -> FootageState:
        """Applies the edit again that was undone last."""
        return footage.redo(footage_id, body.base)

    @router.post("/{footage_id}/find-cuts", status_code=202, summary="Find cuts")
    def find_cuts(footage_id: FootageId, body: FindCutsRequest) -> int:
        """Queues the search for cuts, which replaces the shots there are; returns the number of the job."""
        return footage.find_cuts(footage_id, body.threshold)

    @router.post("/{footage_id}/remove", status_code=204, summary="Remove footage")
    def remove_footage(footage_id: FootageId) -> None:
        """Removes footage with its edits; the video stays unless it was uploaded."""
        footage.remove(footage_id)

    @router.get(
        "/{footage_id}/storyboard.yaml",
        summary="Download the storyboard of footage",
        response_class=Response,
        responses={200: {"content": {"application/yaml": {}}}},
    )
    def download_storyboard(footage_id: FootageId) -> Response:
        """The cuts and captions as YAML, for training."""
        name, text = footage.storyboard(footage_id)
        disposition = f"attachment; filename*=utf-8''{quote(name)}"
        return Response(text, media_type="application/yaml", headers={"content-disposition": disposition})

    @router.post("/{footage_id}/save", status_code=201, summary="Save the storyboard of footage")
    def save_storyboard(footage_id: FootageId) -> str:
        """Writes the cuts and captions as YAML beside the video; returns the path."""
        return footage.save_storyboard(footage_id)

    @router.get(
        "/{footage_id}/film",
        summary="Read a preview film",
        response_class=FileResponse,
        responses={200: {"content": {"video/mp4": {}}}},
    )
    def read_film(footage_id: FootageId) -> StoredFileResponse:
        """The video, small and without sound."""
        return StoredFileResponse(footage.preview(footage_id), media_type="video/mp4", headers=_IMMUTABLE)

    @router.get(
        "/{footage_id}/stills",
        summary="Read frames of footage",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}}},
    )
    def read_stills(
        footage_id: FootageId, frames: Annotated[str, Query(pattern=r"^\d{1,9}(,\d{1,9})*$")]
    ) -> Response:
        """Frames of the preview film, such as 0,48,95, side by side as one small JPEG."""
        numbers = [int(number) for number in frames.split(",")]
        return Response(footage.stills(footage_id, numbers), media_type="image/jpeg", headers=_IMMUTABLE)

    return router
