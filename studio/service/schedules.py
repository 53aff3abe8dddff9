"""How long renders take with several workers: which of them can run side by side, and in which waves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from studio.domain.project import Project
from studio.domain.render_graph import RenderGraph
from studio.domain.schedule import TaskGraph, makespan
from studio.domain.settings import Context
from studio.jobs.order import RenderOrder
from studio.service.rendering import PlannedRender
from studio.store import projects
from studio.store.database import Database

WORKERS: Final = (1, 2, 4, 8)
"""Numbers of workers whose times are told."""


@dataclass(frozen=True, kw_only=True)
class ScheduledRender:
    """When a render begins and ends, in seconds from the start, and on which worker, from 0.

    `waits_for` are the indices of shots whose renders must have ended when it begins.
    """

    shot: str
    index: int
    wave: int
    waits_for: tuple[int, ...]
    worker: int
    begins: float
    ends: float


@dataclass(frozen=True, kw_only=True)
class RenderTime:
    """The expected seconds of a render with so many workers."""

    workers: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class RenderSchedule:
    """Renders shared out among `workers`. Those of the first wave wait for nothing, those of each further one
    for some of the wave before.

    `seconds` is until the last one ends, `at_least` what no order falls below; they say nothing unless
    `time_known`. With `context` "finished" shots see `seen` of the takes of these renders that they would see
    one by one, which are `to_see`.
    """

    workers: int
    seconds: float
    at_least: float
    time_known: bool
    times: tuple[RenderTime, ...]
    context: Context
    seen: int
    to_see: int
    waves: tuple[tuple[int, ...], ...]
    renders: tuple[ScheduledRender, ...]


class Schedules:
    """Shares planned renders out among workers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, project: str, planned: Sequence[PlannedRender], workers: int) -> RenderSchedule:
        """The schedule of what `Rendering.plan` lists. Raises `NotThere`."""
        with self._database.read() as session:
            found = projects.project_of(session, project)
        return schedule_of(found, planned, workers)


def schedule_of(project: Project, planned: Sequence[PlannedRender], workers: int) -> RenderSchedule:
    """The schedule of planned renders of a project."""
    orders = [
        RenderOrder(shot=item.shot, reason="", seconds=item.seconds, lane=item.lane) for item in planned
    ]
    graph = RenderGraph(project, orders)
    tasks = TaskGraph(seconds=tuple(item.seconds for item in planned), before=graph.before)
    in_order = project.settings.context == "finished"
    slots = sorted(tasks.schedule(workers, in_order=in_order), key=lambda slot: slot.task)
    wave_of = {task: nth for nth, wave in enumerate(tasks.waves) for task in wave}
    return RenderSchedule(
        workers=workers,
        seconds=makespan(slots),
        at_least=tasks.lower_bound(workers),
        time_known=all(item.time_known for item in planned),
        times=tuple(
            RenderTime(workers=count, seconds=makespan(tasks.schedule(count, in_order=in_order)))
            for count in WORKERS
        ),
        context=project.settings.context,
        seen=sum(slots[other].ends <= slots[nth].begins for nth, other in graph.seen_one_by_one),
        to_see=len(graph.seen_one_by_one),
        waves=tuple(tuple(planned[task].index for task in wave) for wave in tasks.waves),
        renders=tuple(
            ScheduledRender(
                shot=item.shot,
                index=item.index,
                wave=wave_of[nth],
                waits_for=tuple(sorted(planned[other].index for other in graph.before[nth])),
                worker=slot.worker,
                begins=slot.begins,
                ends=slot.ends,
            )
            for nth, (item, slot) in enumerate(zip(planned, slots, strict=True))
        ),
    )
