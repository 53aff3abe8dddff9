"""What a waiting render needs of other renders in the queue, whose places there may be in any order.

A shot that starts with the last frame of another waits for the render of that one, and a final that is made
from its draft for that of the draft.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from studio.domain.project import Lane, Project
from studio.domain.storyboard import draft_use, first_frame_source
from studio.jobs.order import RenderOrder
from studio.jobs.rows import order_of
from studio.store import projects
from studio.store.tables import JobRow

Render = tuple[str, Lane]
"""A render by its shot and lane."""


class Dependencies:
    """The renders that wait or run, and the projects they are of, as a transaction finds them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._coming: dict[str, frozenset[Render]] = {}
        self._projects: dict[str, Project] = {}

    def waits(self, project: str | None, order: RenderOrder) -> bool:
        """Whether another render that this one of a project needs waits or runs.

        An order with the context of a chosen take needs none.
        """
        if project is None or order.keep_context:
            return False
        coming = self._coming_in(project) - {(order.shot, order.lane)}
        return bool(coming) and any(
            needed in coming for needed in needed_renders(self._project(project), order)
        )

    def _coming_in(self, project: str) -> frozenset[Render]:
        """The renders whose takes will be chosen, as those of variations are where a shot has none."""
        if project not in self._coming:
            rows = self._session.scalars(
                select(JobRow).where(
                    JobRow.project == project,
                    JobRow.kind == "render",
                    JobRow.state.in_(("queued", "running")),
                )
            )
            found = self._project(project)
            self._coming[project] = frozenset(
                (order.shot, order.lane)
                for row in rows
                if isinstance(order := order_of(row), RenderOrder)
                and (order.replace or not has_take(found, (order.shot, order.lane)))
            )
        return self._coming[project]

    def _project(self, name: str) -> Project:
        if name not in self._projects:
            self._projects[name] = projects.project_of(self._session, name)
        return self._projects[name]


def has_take(project: Project, render: Render) -> bool:
    """Whether a shot has a chosen take in a lane, which is not in the bin."""
    shot, lane = render
    take = project.in_lane(lane).current.get(shot)
    return take is not None and take not in project.discarded


def needed_renders(project: Project, order: RenderOrder) -> Iterator[Render]:
    """The renders whose takes are a part of what an order renders: a first frame's, and its draft's."""
    index = project.index_of(order.shot)
    if index is None:
        return
    source = first_frame_source(project.board, index)
    if source is not None and source.index is not None:
        yield project.board.shots[source.index].id, order.lane
    if order.lane == "final" and project.has_lanes and draft_use(project.board, index) is not None:
        yield order.shot, "draft"
