"""Workers that take the renders of simulated films from the queue, in simulated time."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from studio.cli.waves import simulated_film
from studio.jobs import claims, queue
from studio.jobs.job import Claim
from studio.jobs.order import RenderOrder
from studio.service.schedules import schedule_of
from studio.store import projects
from studio.store.database import Database


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """How long a film took, and what no order falls below, in seconds of simulated time."""

    seconds: float
    bound: float


def simulate(database: Database, kind: str, *, shots: int, workers: int) -> Simulation:
    """Renders a film of a kind; each worker takes the next job as soon as it is done with one."""
    film, planned = simulated_film(kind, shots, seed=1)
    seconds = {item.shot: item.seconds for item in planned}
    with database.write() as session:
        project = projects.create(session, film, now=0.0)
        orders = [RenderOrder(shot=shot, reason="", seconds=time) for shot, time in seconds.items()]
        queue.enqueue(session, project, orders)
    now, free = 0.0, [f"worker {nth}" for nth in range(workers)]
    running: list[tuple[float, int, Claim]] = []
    while True:
        while free:
            with database.write() as session:
                claim = claims.claim(session, free[-1])
            if claim is None:
                break
            free.pop()
            heapq.heappush(running, (now + seconds[str(claim.order.shot)], claim.job, claim))
        if not running:
            return Simulation(seconds=now, bound=schedule_of(film, planned, workers).at_least)
        now, _, claim = heapq.heappop(running)
        with database.write() as session:
            claims.finish(session, claim, "take")
        free.append(claim.worker)
