"""Which waiting renders of a project can begin, and which of them first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import select
from sqlalchemy.orm import Session

from studio.domain.project import Project
from studio.domain.render_graph import RenderGraph
from studio.domain.schedule import TaskGraph, next_task
from studio.jobs.order import RenderOrder, order_from_json
from studio.store import projects
from studio.store.tables import JobRow


@dataclass(frozen=True, kw_only=True)
class Render:
    """A render that waits or runs."""

    job: int
    position: float
    order: RenderOrder
    running: bool


@dataclass(frozen=True, kw_only=True)
class Ready:
    """A render to begin, and the position of the first one of its project that can begin."""

    job: int
    position: float


class ProjectRenders:
    """The renders of a project that wait or run, in the order of the queue."""

    def __init__(self, project: Project, renders: Sequence[Render]) -> None:
        self._project = project
        self._renders = renders

    def ready(self) -> Ready | None:
        """The waiting render to begin; None where all wait for others.

        Of those that wait for none it is the first, so that one worker keeps the order of the film, and the
        one with the longest path while another render of the project runs. Those that were queued before the
        first of them do not pass it: it was moved before them.
        """
        waiting = [n for n, render in enumerate(self._begun_first) if not render.running]
        ready = [n for n in waiting if self._graph.is_ready(n)]
        if not ready:
            return None
        first = self._begun_first[ready[0]]
        may_begin = [n for n in ready if self._begun_first[n].job >= first.job]
        return Ready(job=self._begun_first[self._next(may_begin)].job, position=first.position)

    def _next(self, ready: Sequence[int]) -> int:
        if len(ready) == 1:
            return ready[0]
        orders = [render.order for render in self._begun_first]
        known = any(order.seconds for order in orders)
        seconds = tuple(order.seconds if known else 1.0 for order in orders)
        paths = TaskGraph(seconds=seconds, before=self._graph.before).path_seconds
        running = sum(render.running for render in self._renders)
        waiting = sum(
            time for time, render in zip(seconds, self._begun_first, strict=True) if not render.running
        )
        in_order = self._project.settings.context == "finished"
        return next_task(ready, paths, waiting, running + 1, in_order=in_order)

    def foretold(self, job: int) -> tuple[str, ...]:
        """The shots of which a render knows the coming take by name only (`RenderGraph.foretold`)."""
        number = next((n for n, render in enumerate(self._renders) if render.job == job), None)
        graph = RenderGraph(self._project, [render.order for render in self._renders])
        return () if number is None else graph.foretold(number)

    @cached_property
    def _begun_first(self) -> list[Render]:
        """What runs comes before what waits, wherever that was moved."""
        return sorted(self._renders, key=lambda render: not render.running)

    @cached_property
    def _graph(self) -> RenderGraph:
        return RenderGraph(self._project, [render.order for render in self._begun_first])


def project_renders(session: Session, project: str) -> ProjectRenders:
    """The renders of a project that wait or run now."""
    rows = session.execute(
        select(
            JobRow.id,
            JobRow.position,
            JobRow.shot,
            JobRow.reason,
            JobRow.seconds,
            JobRow.payload,
            JobRow.state,
        )
        .where(JobRow.project == project, JobRow.kind == "render", JobRow.state.in_(("queued", "running")))
        .order_by(JobRow.position, JobRow.id)
    )
    renders = [
        Render(job=row.id, position=row.position, order=order, running=row.state == "running")
        for row in rows
        if isinstance(
            order := order_from_json(
                "render", row.payload, shot=row.shot, reason=row.reason, seconds=row.seconds
            ),
            RenderOrder,
        )
    ]
    return ProjectRenders(projects.project_of(session, project), renders)
