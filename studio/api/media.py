"""Routes that send files: exports of a project, and the files of its takes."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from studio.api.bodies import uploaded_file
from studio.api.error_answers import ERRORS
from studio.api.request_models import ProjectId, TakeId
from studio.api.stored_file_response import StoredFileResponse
from studio.domain.file_types import EXPORT_FILES, TAKE_FILES
from studio.service.studio import Service

_IMMUTABLE: Final = {"cache-control": "private, max-age=31536000, immutable"}


class PictureAnswer(BaseModel):
    """A picture that was added, by the digest of its file."""

    digest: str


def media_routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/projects/{project}", tags=["files"], responses=ERRORS)
    files = service.files

    @router.get(
        "/export/{kind}",
        summary="Export a film",
        response_class=FileResponse,
        responses={200: {"content": {file.media_type: {} for file in EXPORT_FILES.values()}}},
    )
    def export(project: ProjectId, kind: str) -> FileResponse:
        """The cut as film.mp4, subtitles.srt, captions.vtt or contact-sheet.png; all as project.mocz."""
        path = files.export(project, kind)
        return FileResponse(path, filename=path.name, media_type=EXPORT_FILES[kind].media_type)

    @router.get(
        "/takes/{take}/frames/{frame}",
        summary="Read a frame of a take",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}}},
    )
    def read_still(project: ProjectId, take: TakeId, frame: Annotated[int, Path(ge=0, lt=2**31)]) -> Response:
        """One frame of a take, counted from 0, as a small JPEG."""
        return Response(files.still(project, take, frame), media_type="image/jpeg", headers=_IMMUTABLE)

    @router.post("/pictures", status_code=201, summary="Add a picture")
    async def add_picture(project: ProjectId, request: Request) -> PictureAnswer:
        """Keeps the picture in the body (PNG, JPEG or WebP), with which shots may start."""
        async with uploaded_file(request, files) as picture:
            return PictureAnswer(digest=await run_in_threadpool(service.pictures.add, project, picture))

    @router.get(
        "/pictures/{digest}",
        summary="Read a picture",
        response_class=FileResponse,
        responses={200: {"content": {"image/png": {}}}},
    )
    def read_picture(project: ProjectId, digest: str) -> StoredFileResponse:
        """A picture of the project."""
        file = service.pictures.file(project, digest)
        return StoredFileResponse(file, media_type="image/png", headers=_IMMUTABLE, digest=digest)

    @router.get(
        "/pictures/{digest}/thumbnail",
        summary="Read the thumbnail of a picture",
        response_class=Response,
        responses={200: {"content": {"image/jpeg": {}}}},
    )
    def read_thumbnail(project: ProjectId, digest: str) -> Response:
        """A picture of the project, as a small JPEG."""
        thumbnail = service.pictures.thumbnail(project, digest)
        return Response(thumbnail, media_type="image/jpeg", headers=_IMMUTABLE)

    @router.get(
        "/takes/{take}/{kind}",
        summary="Read a file of a take",
        response_class=FileResponse,
        responses={200: {"content": {file.media_type: {} for file in TAKE_FILES.values()}}},
    )
    def read_media(project: ProjectId, take: TakeId, kind: str) -> StoredFileResponse:
        """The clip, latents, trace or thumbnail of a take."""
        file, media_type = files.media(project, take, kind), TAKE_FILES[kind].media_type
        return StoredFileResponse(file, media_type=media_type, headers=_IMMUTABLE, digest=file.digest)

    return router
