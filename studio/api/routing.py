"""The REST routes of the routing inspector, below /api/projects/{project}."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from studio.service.inspector import Choice, Chunks, Compared, Consistency, Looked, Moment, Story
from studio.service.studio import Service

TABLE_TYPES: Final = {
    "csv": "text/csv",
    "npz": "application/octet-stream",
    "parquet": "application/vnd.apache.parquet",
}
_TAKE: Final = "/projects/{project}/takes/{take}/routing"
Seconds = Annotated[float, Query(ge=0, le=3600)]
Share = Annotated[float, Query(ge=0, le=1)]


def routing_routes(service: Service) -> APIRouter:
    """All of them, without /api before."""
    router = APIRouter(tags=["routing"])

    @router.get("/projects/{project}/routing")
    def story(project: str) -> Story:
        """Shots × shots: the share of each shot's attention that went to which earlier one."""
        return service.routing.story(project)

    @router.get("/projects/{project}/routing.html")
    def page(project: str, take: str | None = None) -> Response:
        """The story map, and the maps of one take, as a page of its own: a file, not one of the studio's."""
        text = service.routing.page(project, take)
        name = service.routing.file_name(project, take, "html")
        return Response(text, media_type="application/octet-stream", headers=_download(name))

    @router.get("/projects/{project}/consistency")
    def consistency(project: str) -> Consistency:
        """How far everybody and everything is from the look it should have, and what drifted, why."""
        return service.routing.consistency(project)

    @router.get(_TAKE)
    def chunks(
        project: str,
        take: str,
        choice: Annotated[Choice, Depends(_choice)],
        log: bool = False,
        source: str | None = None,
    ) -> Chunks:
        """The parts of a take × the chunks they could look at, of all takes or of one."""
        return service.routing.chunks(project, take, choice, log=log, source=source)

    @router.get(_TAKE + "/parts/{part}")
    def looked(project: str, take: str, part: int, choice: Annotated[Choice, Depends(_choice)]) -> Looked:
        """What one part of a take looked at, the strongest first; parts count from 0."""
        return service.routing.looked(project, take, part, choice)

    @router.get(_TAKE + "/moment")
    def moment(project: str, take: str, seconds: Seconds) -> Moment:
        """What can be pointed at in a moment of a take."""
        return service.routing.moment(project, take, seconds)

    @router.get(_TAKE + "/point")
    def looked_at(project: str, take: str, seconds: Seconds, x: Share, y: Share) -> Looked:
        """What the part at a point of the picture looked at; x and y are shares of width and height."""
        return service.routing.looked_at(project, take, seconds, x, y)

    @router.get(_TAKE + "/heat")
    def heat(project: str, take: str, seconds: Seconds, column: int) -> list[list[float]]:
        """For models whose tokens are a grid: how much each drew from a chunk, by its `column`."""
        return service.routing.heat(project, take, seconds, column)

    @router.get(_TAKE + "/heads")
    def heads(project: str, take: str) -> dict[str, Any]:
        """Layers, heads and steps apart, as Plotly figures by title."""
        return service.routing.heads(project, take)

    @router.get(_TAKE + "/against/{other}")
    def compare(project: str, take: str, other: str) -> Compared:
        """What another take drew more or less than this one."""
        return service.routing.compare(project, take, other)

    @router.get(_TAKE + "/table.{kind}")
    def table(project: str, take: str, kind: str) -> Response:
        """The trace as csv, npz or parquet."""
        data = service.routing.table(project, take, kind)
        name = service.routing.file_name(project, take, kind)
        return Response(data, media_type=TABLE_TYPES[kind], headers=_download(name))

    return router


def _choice(layer: int | None = None, head: int | None = None, group: int | None = None) -> Choice:
    return Choice(layer=layer, head=head, group=group)


def _download(name: str) -> dict[str, str]:
    return {"content-disposition": f"attachment; filename*=utf-8''{quote(name, safe='')}"}
