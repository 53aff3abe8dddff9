"""The REST routes: a script can do all that a person can. Documented at /docs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final, Literal
from urllib.parse import quote

from fastapi import APIRouter, Body, Depends, FastAPI, Query, Request
from fastapi import Path as PathParameter
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from studio.api.routing import routing_routes
from studio.domain.edits import Edit
from studio.domain.errors import BadStoryboard, NotThere, StaleRevision, StudioError, WrongUse
from studio.domain.project import Listed
from studio.domain.storyboard import Storyboard
from studio.service.queue import Pulse, QueueState
from studio.service.rendering import PlannedRender
from studio.service.state import ProjectState, UnknownSpan
from studio.service.studio import Service

TYPES: Final = {
    "clip": "video/mp4",
    "latents": "application/octet-stream",
    "trace": "application/octet-stream",
    "thumbnail": "image/jpeg",
}
EXPORT_TYPES: Final = {
    ".mp4": "video/mp4",
    ".srt": "application/x-subrip",
    ".vtt": "text/vtt",
    ".png": "image/png",
    ".mocz": "application/zip",
}
JobId = Annotated[int, PathParameter(ge=0, lt=2**63)]
_FOREVER: Final = {"cache-control": "private, max-age=31536000, immutable"}


class Commanded(BaseModel):
    """An edit, and the revision that it was made on."""

    base: int
    edit: Annotated[Edit, Field(discriminator="op")]


class Based(BaseModel):
    """The revision that undo or redo was asked for on."""

    base: int


class Wanted(BaseModel):
    """What to render: shots that are due, all shots, or shots by id."""

    scope: Literal["due", "all"] = "due"
    shots: list[str] | None = None


class Rolled(BaseModel):
    """How many takes with new seeds, or one with this seed."""

    count: int = 1
    seed: int | None = None


class NewProject(BaseModel):
    """What a new, empty project is called."""

    title: str = "Untitled"


class Moved(BaseModel):
    """The waiting job to run before; None: last."""

    before: int | None = None


def routes(service: Service) -> APIRouter:
    """All routes, under /api."""
    router = APIRouter(prefix="/api")
    router.include_router(routing_routes(service))  # before the files of takes, one of which has any name

    @router.get("/projects", tags=["projects"])
    def list_projects() -> list[Listed]:
        """All projects, the one opened last first."""
        return service.projects.all()

    @router.post("/projects", tags=["projects"], status_code=201)
    def create_project(new: NewProject) -> ProjectState:
        """A new, empty project."""
        return service.projects.state(service.projects.create(Storyboard(title=new.title)))

    @router.post("/projects/import", tags=["projects"], status_code=201)
    def import_project(
        text: Annotated[str, Depends(_text)], name: Annotated[str, Query(max_length=200)] = "storyboard.yaml"
    ) -> ProjectState:
        """A new project of a storyboard in YAML, the body of the request; errors call the file `name`."""
        return service.projects.state(service.projects.import_yaml(text, name))

    @router.get("/projects/{project}", tags=["projects"])
    def read_project(project: str) -> ProjectState:
        """A project with its shots, takes, reasons and revision."""
        return service.projects.state(project)

    @router.get("/projects/{project}/storyboard.yaml", tags=["projects"])
    def export_project(project: str) -> Response:
        """The storyboard as YAML that a person can write."""
        name = quote(f"{service.projects.storyboard(project).title}.yaml", safe="")
        return Response(
            service.projects.export_yaml(project),
            media_type="application/yaml",
            headers={"content-disposition": f"attachment; filename*=utf-8''{name}"},
        )

    @router.get("/pulse", tags=["projects"])
    def pulse(project: str) -> Pulse:
        """The queue, and a stamp that changes whenever the project does."""
        return service.queue.pulse(project)

    @router.post("/projects/{project}/unknown", tags=["editing"])
    def unknown(project: str, text: Annotated[str, Body(embed=True)]) -> tuple[UnknownSpan, ...]:
        """The words of a text that the project's model would not read."""
        return service.editing.unknown_words(project, text)

    @router.post("/projects/{project}/open", tags=["projects"])
    def open_project(project: str) -> ProjectState:
        """Notes that it is the one that is open."""
        service.projects.open(project)
        return service.projects.state(project)

    @router.post("/projects/{project}/duplicate", tags=["projects"], status_code=201)
    def duplicate_project(project: str) -> ProjectState:
        """A copy with all takes."""
        return service.projects.state(service.projects.duplicate(project))

    @router.post("/projects/{project}/trash", tags=["projects"], status_code=204)
    def trash_project(project: str) -> None:
        """Into the bin."""
        service.projects.trash(project)

    @router.post("/projects/{project}/recover", tags=["projects"], status_code=204)
    def recover_project(project: str) -> None:
        """Out of the bin."""
        service.projects.recover(project)

    @router.post("/projects/{project}/edits", tags=["editing"])
    def edit_project(project: str, command: Commanded) -> ProjectState:
        """Carries out an edit; 409 where the project was changed since the revision it was made on."""
        return service.editing.edit(project, command.edit, command.base)

    @router.post("/projects/{project}/undo", tags=["editing"])
    def undo(project: str, command: Based) -> ProjectState:
        """Takes the last edit back."""
        return service.editing.undo(project, command.base)

    @router.post("/projects/{project}/redo", tags=["editing"])
    def redo(project: str, command: Based) -> ProjectState:
        """Makes the edit again that was taken back last."""
        return service.editing.redo(project, command.base)

    @router.post("/projects/{project}/plan", tags=["rendering"])
    def plan(project: str, wanted: Annotated[Wanted, Body()]) -> tuple[PlannedRender, ...]:
        """What a render would do, why, and how long it should take."""
        return service.rendering.plan(project, wanted.scope if wanted.shots is None else wanted.shots)

    @router.post("/projects/{project}/render", tags=["rendering"], status_code=202)
    def render(project: str, wanted: Annotated[Wanted, Body()]) -> list[int]:
        """Queues renders; returns the jobs' numbers."""
        return service.rendering.render(project, wanted.scope if wanted.shots is None else wanted.shots)

    @router.post("/projects/{project}/shots/{shot}/roll", tags=["rendering"], status_code=202)
    def roll(project: str, shot: str, rolled: Rolled) -> list[int]:
        """Queues takes of a shot with other seeds and the context it had."""
        return service.rendering.reroll(project, shot, count=rolled.count, seed=rolled.seed)

    @router.get("/projects/{project}/export/{kind}", tags=["export"])
    def export(project: str, kind: str) -> FileResponse:
        """The cut as film.mp4, subtitles.srt, captions.vtt, contact-sheet.png; all as project.mocz."""
        path = service.files.export(project, kind)
        return FileResponse(path, filename=path.name, media_type=EXPORT_TYPES[path.suffix])

    @router.post("/projects/bundle", tags=["export"], status_code=201)
    async def import_bundle(request: Request) -> ProjectState:
        """A new project out of a bundle, the body of the request."""
        with TemporaryDirectory() as folder:
            bundle = Path(folder) / "project.mocz"
            size = 0
            with bundle.open("wb") as file:
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > MOST_BUNDLE:
                        raise WrongUse("a bundle has at most 4 GB")
                    file.write(chunk)
            name = await run_in_threadpool(service.files.import_bundle, bundle)
        return await run_in_threadpool(service.projects.state, name)

    @router.get("/projects/{project}/takes/{take}/frames/{frame}", tags=["takes"])
    def still(project: str, take: str, frame: Annotated[int, PathParameter(ge=0, lt=2**31)]) -> Response:
        """One frame of a take, counted from 0, as a small JPEG."""
        return Response(service.files.still(project, take, frame), media_type="image/jpeg", headers=_FOREVER)

    @router.get("/projects/{project}/takes/{take}/{kind}", tags=["takes"])
    def media(project: str, take: str, kind: str) -> FileResponse:
        """A file of a take: clip, latents, trace or thumbnail."""
        path: Path = service.files.media(project, take, kind)
        return FileResponse(path, media_type=TYPES[kind], headers=_FOREVER)

    @router.get("/queue", tags=["queue"])
    def read_queue() -> QueueState:
        """What runs, waits and ended lately."""
        return service.queue.state()

    @router.post("/queue/pause", tags=["queue"], status_code=204)
    def pause(paused: Annotated[bool, Body(embed=True)]) -> None:
        """Lets the queue rest, or go on."""
        service.queue.pause(paused)

    @router.post("/queue/clear", tags=["queue"], status_code=204)
    def clear() -> None:
        """Forgets what ended."""
        service.queue.clear()

    @router.post("/jobs/{job}/cancel", tags=["queue"], status_code=204)
    def cancel(job: JobId) -> None:
        """Ends a job, within a step where it runs."""
        service.queue.cancel(job)

    @router.post("/jobs/{job}/retry", tags=["queue"], status_code=204)
    def retry(job: JobId) -> None:
        """Lets a job that failed, was cancelled or set aside wait again."""
        service.queue.retry(job)

    @router.post("/jobs/{job}/move", tags=["queue"], status_code=204)
    def move(job: JobId, moved: Moved) -> None:
        """Changes the order of what waits."""
        service.queue.move(job, moved.before)

    @router.get("/jobs/{job}/preview", tags=["queue"])
    def preview(job: JobId) -> Response:
        """The latest preview picture of a running job."""
        picture = service.queue.preview(job)
        return Response(picture, media_type="image/png", headers={"cache-control": "no-store"})

    return router


def tell_errors(app: FastAPI) -> None:
    """Lets errors answer as `{"error": words, "field": place or null}` with a fitting status."""

    @app.exception_handler(StudioError)
    def answer(request: Request, error: StudioError) -> JSONResponse:
        return _told(str(error), error.field if isinstance(error, BadStoryboard) else None, _status(error))

    @app.exception_handler(RequestValidationError)
    def answer_nonsense(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = first["loc"][1:]  # without "body" or "path"
        return _told(f"{'.'.join(map(str, place))}: {first['msg']}", place, 422)


def _told(words: str, field: Iterable[str | int] | None, status: int) -> JSONResponse:
    place = None if field is None else [_sendable(part) if isinstance(part, str) else part for part in field]
    return JSONResponse({"error": _sendable(words), "field": place}, status_code=status)


def _sendable(text: str) -> str:
    """The text without halves of characters, which JSON may hold and UTF-8 may not."""
    return text.encode(errors="backslashreplace").decode()


def _status(error: StudioError) -> int:
    match error:
        case NotThere():
            return 404
        case StaleRevision():
            return 409
        case BadStoryboard():
            return 422
        case WrongUse():
            return 400
        case _:
            return 500


MOST_BUNDLE: Final = 4 * 2**30
MOST_TEXT: Final = 2**20
"""Bytes of a storyboard."""


async def _text(request: Request) -> str:
    body = bytearray()
    async for chunk in request.stream():
        body.extend(chunk)
        if len(body) > MOST_TEXT:
            raise WrongUse("a storyboard has at most 1 MB")
    if body.startswith(b"PK\x03\x04"):
        raise WrongUse("that is a zip file and no storyboard; a bundle's name ends in .mocz")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise WrongUse("the storyboard is not text in UTF-8") from error
