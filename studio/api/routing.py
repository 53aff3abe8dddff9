"""Routes of the routing inspector: what shots and their parts attended to."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from studio.api.error_answers import ERRORS
from studio.api.request_models import ProjectId, TakeId
from studio.service.attention import FrameParts, PartAttention
from studio.service.drift import ConsistencyReport
from studio.service.routing import ChunkMap, StoryRouting, TakeComparison
from studio.service.studio import Service
from studio.service.traces import TraceSlice

TABLE_TYPES: Final = {
    "csv": "text/csv",
    "npz": "application/octet-stream",
    "parquet": "application/vnd.apache.parquet",
}
_TAKE: Final = "/takes/{take}/routing"
Seconds = Annotated[float, Query(ge=0, le=3600, description="The time in the take.")]
Fraction = Annotated[float, Query(ge=0, le=1)]


def _slice(layer: int | None = None, head: int | None = None, group: int | None = None) -> TraceSlice:
    return TraceSlice(layer=layer, head=head, group=group)


Slice = Annotated[TraceSlice, Depends(_slice)]


def routing_routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/projects/{project}", tags=["routing"], responses=ERRORS)
    routing, attention = service.routing, service.attention

    @router.get("/routing", summary="Read the routing between shots")
    def story(project: ProjectId) -> StoryRouting:
        """The share of each shot's attention that went to each earlier shot."""
        return routing.story(project)

    @router.get(
        "/routing.html",
        summary="Export the routing as a page",
        response_class=Response,
        responses={200: {"content": {"application/octet-stream": {}}}},
    )
    def page(project: ProjectId, take: str | None = None) -> Response:
        """A standalone HTML file with the routing between shots, and that of one take."""
        text = routing.page(project, take)  # not served as HTML: it would run as one of the studio's pages
        name = routing.file_name(project, take, "html")
        return Response(text, media_type="application/octet-stream", headers=_download(name))

    @router.get("/consistency", summary="Compare appearances")
    def consistency(project: ProjectId) -> ConsistencyReport:
        """How far cast members and sets are from the look they should have, and why."""
        return service.consistency.report(project)

    @router.get(_TAKE, summary="Read a take's routing")
    def chunk_map(
        project: ProjectId, take: TakeId, where: Slice, log: bool = False, source: str | None = None
    ) -> ChunkMap:
        """The attention of a take's parts to all chunks, or to those of the take `source`."""
        return routing.chunk_map(project, take, where, log=log, source=source)

    @router.get(_TAKE + "/parts/{part}", summary="Read what a part attended to")
    def part_attention(project: ProjectId, take: TakeId, part: int, where: Slice) -> PartAttention:
        """What one part of a take attended to, the largest share first. Parts count from 0."""
        return attention.of_part(project, take, part, where)

    @router.get(_TAKE + "/moment", summary="List the parts of a frame")
    def frame_parts(project: ProjectId, take: TakeId, seconds: Seconds) -> FrameParts:
        """The parts that are visible at a time of a take."""
        return attention.parts_at(project, take, seconds)

    @router.get(_TAKE + "/point", summary="Read what a point attended to")
    def point_attention(
        project: ProjectId, take: TakeId, seconds: Seconds, x: Fraction, y: Fraction
    ) -> PartAttention:
        """What the part at a point of the picture attended to; x and y are fractions of width and height."""
        return attention.at_point(project, take, seconds, x, y)

    @router.get(_TAKE + "/heat", summary="Read the attention of a frame to a chunk")
    def heat(project: ProjectId, take: TakeId, seconds: Seconds, column: int) -> list[list[float]]:
        """For models whose tokens form a grid: the attention of each to the chunk with this `column`."""
        return attention.heat(project, take, seconds, column)

    @router.get(_TAKE + "/heads", summary="Read layers, heads and steps")
    def heads(project: ProjectId, take: TakeId) -> dict[str, Any]:
        """Layers, heads and steps apart, as Plotly figures by title."""
        return routing.heads(project, take)

    @router.get(_TAKE + "/against/{other}", summary="Compare two takes")
    def compare(project: ProjectId, take: TakeId, other: str) -> TakeComparison:
        """How the attention of another take differs from this one's."""
        return routing.compare(project, take, other)

    @router.get(
        _TAKE + "/table.{kind}",
        summary="Export a trace as a table",
        response_class=Response,
        responses={200: {"content": {type_: {} for type_ in TABLE_TYPES.values()}}},
    )
    def table(project: ProjectId, take: TakeId, kind: str) -> Response:
        """The trace as csv, npz or parquet."""
        data = routing.table(project, take, kind)
        name = routing.file_name(project, take, kind)
        return Response(data, media_type=TABLE_TYPES[kind], headers=_download(name))

    return router


def _download(name: str) -> dict[str, str]:
    return {"content-disposition": f"attachment; filename*=utf-8''{quote(name, safe='')}"}
