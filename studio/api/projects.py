"""Routes of projects: the list, making, importing, copying, the bin."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from studio.api.bodies import storyboard_text, uploaded_file
from studio.api.error_answers import ERRORS
from studio.api.request_models import CreateProjectRequest, ProjectId
from studio.domain.file_names import slug
from studio.domain.project import ProjectSummary
from studio.domain.storyboard import Storyboard
from studio.service.queue import ProjectStatus
from studio.service.state import ProjectState
from studio.service.studio import Service

UPLOADS: Final = ("/api/projects/bundle", "/api/projects/film")
"""Routes whose bodies are files, which may be large."""


def project_routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/projects", tags=["projects"], responses=ERRORS)
    projects = service.projects

    @router.get("", summary="List projects")
    def list_projects() -> list[ProjectSummary]:
        """All projects, the one opened last first; those in the bin are included."""
        return projects.all()

    @router.post("", status_code=201, summary="Create a project")
    def create_project(body: CreateProjectRequest) -> ProjectState:
        """Makes an empty project."""
        return projects.state(projects.create(Storyboard(title=body.title)))

    @router.post("/import", status_code=201, summary="Import a storyboard")
    def import_storyboard(
        text: Annotated[str, Depends(storyboard_text)],
        name: Annotated[str, Query(max_length=200)] = "storyboard.yaml",
    ) -> ProjectState:
        """Makes a project of a storyboard in YAML, the body of the request. Errors call the file `name`."""
        return projects.state(projects.import_yaml(text, name))

    @router.post("/bundle", status_code=201, summary="Import a bundle")
    async def import_bundle(request: Request) -> ProjectState:
        """Makes a project of a bundle (.mocz), the body of the request."""
        async with uploaded_file(request, service.files) as bundle:
            project = await run_in_threadpool(service.files.import_bundle, bundle)
        return await run_in_threadpool(projects.state, project)

    @router.post("/film", status_code=201, summary="Import a film")
    async def import_film(request: Request) -> ProjectState:
        """Makes a project of the recipe in a film (.mp4) of a studio, the body of the request."""
        async with uploaded_file(request, service.files) as film:
            project = await run_in_threadpool(service.files.import_film, film)
        return await run_in_threadpool(projects.state, project)

    @router.get("/{project}", summary="Read a project")
    def read_project(project: ProjectId) -> ProjectState:
        """The project with its shots, takes, reasons to render, and revision."""
        return projects.state(project)

    @router.get("/{project}/status", summary="Poll a project")
    def project_status(project: ProjectId) -> ProjectStatus:
        """The queue, and a stamp that changes whenever the project does."""
        return service.queue.project_status(project)

    @router.get(
        "/{project}/storyboard.yaml",
        summary="Export the storyboard",
        response_class=Response,
        responses={200: {"content": {"application/yaml": {}}}},
    )
    def export_storyboard(project: ProjectId) -> Response:
        """The storyboard as YAML."""
        name = quote(f"{slug(projects.storyboard(project).title)}.yaml", safe="")
        return Response(
            projects.export_yaml(project),
            media_type="application/yaml",
            headers={"content-disposition": f"attachment; filename*=utf-8''{name}"},
        )

    @router.post("/{project}/open", summary="Open a project")
    def open_project(project: ProjectId) -> ProjectState:
        """Records that the project was opened: it is shown again after a restart."""
        projects.open(project)
        return projects.state(project)

    @router.post("/{project}/duplicate", status_code=201, summary="Duplicate a project")
    def duplicate_project(project: ProjectId) -> ProjectState:
        """Copies the project with all takes."""
        return projects.state(projects.duplicate(project))

    @router.post("/{project}/trash", status_code=204, summary="Put a project into the bin")
    def trash_project(project: ProjectId) -> None:
        """Puts the project into the bin and cancels its jobs."""
        projects.trash(project)

    @router.post("/{project}/recover", status_code=204, summary="Take a project out of the bin")
    def recover_project(project: ProjectId) -> None:
        """Takes the project out of the bin."""
        projects.recover(project)

    return router
