"""Simulates a studio event by event: workers that claim, render and store, under leases, at one database.

The rules are those of `studio.jobs.claims` and `studio.worker`: of a film one render runs at a time; the
first that waits is claimed; beats renew a lease; a claim takes up jobs whose lease lapsed; a job that two
workers lost is parked until a person has it rendered again. Times between looks, beats and reports are the
program's, and the statements of its transactions are counted (`statements.py`).

An event is a function that is called at a time; a heap keeps them in order. That is all there is to it, so no
library is used: processes of simpy are generators, which take several times as long for the same events.
"""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, insort
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from studio.jobs.job import HEARTBEAT, LEASE, after_loss
from studio.scale.farm import Farm
from studio.scale.measured import Counts, Measured
from studio.scale.servers import Database, Storage
from studio.scale.statements import Statements
from studio.worker.running_job import LOOK, REPORT_EVERY

FILES: Final = 4
"""Files of a take that are stored: clip, latents, trace, filmstrip."""

STEPS: Final = 50
"""Steps of a shot that are reported, where they are not closer together than reports."""

CONTEXT: Final = 4
"""Files that a render reads: the latents of earlier shots that the worker does not remember."""


@dataclass(eq=False)
class _Film:
    """A film: the shots that are left to render, when the next one could have begun, and the place in the
    queue that all its shots got when they were asked for.
    """

    left: int
    position: int = 0
    attempts: int = 0
    fence: int = 0
    lease_until: float = 0.0
    ready_at: float = 0.0
    running: bool = False
    parked: bool = False
    looked_at: bool = False


class Simulation:
    """A farm from a likely state on; `run` lets time go by."""

    def __init__(self, farm: Farm, statements: Statements, seed: int = 0) -> None:
        self.farm = farm
        self.now = 0.0
        self._statements = statements
        self._random = Random(seed)
        self.database = Database(farm.connections, farm.writes_per_second)
        self.storage = Storage(farm.storage_seconds, farm.storage_failures, self._random)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0
        self._ready: list[tuple[int, int, _Film]] = []
        self._blocked: list[int] = []
        self._leases: list[tuple[float, int, _Film, int]] = []
        self.waiting = 0
        self._idle: dict[int, int] = {}
        self._turn = [0] * farm.workers
        self._claims = self._takes = self._lost = self._failed = 0
        self._delays: list[float] = []
        self._rendered = 0.0
        self.films = [_Film(left=0, looked_at=True) for _ in range(farm.films)]
        self._begin()

    def run(self, until: float) -> None:
        """Goes on until a time."""
        events = self._events
        while events and events[0][0] <= until:
            self.now, _, event = heapq.heappop(events)
            event()
        self.now = until

    def measured(self, warm_up: float, seconds: float) -> Measured:
        """Lets a warm-up go by and measures for so many seconds after it."""
        self.run(self.now + warm_up)
        self._delays.clear()
        self.database.clear()
        before = self._takes, self._rendered, self._lost, self.storage.requests
        self.run(self.now + seconds)
        connections, writes = self.database.used(seconds)
        return Measured(
            farm=self.farm,
            shots_per_second=(self._takes - before[0]) / seconds,
            delays=tuple(sorted(self._delays)),
            rendering=(self._rendered - before[1]) / (seconds * self.farm.workers),
            connections=connections,
            writes=writes,
            requests_per_second=(self.storage.requests - before[3]) / seconds,
            lost=self._lost - before[2],
        )

    def counts(self) -> Counts:
        """Where all shots are now."""
        films = self.films
        return Counts(
            waiting=sum(film.left - film.running - film.parked for film in films if not film.looked_at),
            running=sum(film.running for film in films),
            parked=sum(film.parked for film in films),
            stored=sum(self.farm.shots - film.left for film in films if not film.looked_at),
            unasked=sum(self.farm.shots for film in films if film.looked_at),
            claims=self._claims,
            takes=self._takes,
            lost=self._lost,
            failed=self._failed,
        )

    # Films

    def _begin(self) -> None:
        """As many films are looked at as would be, were there nothing but renders. The others are being
        rendered, somewhere within, or waited as long as those before them take.
        """
        farm = self.farm
        looked_at = min(farm.films, round(farm.bound / farm.shots * farm.looking_seconds))
        for nth, film in enumerate(self.films):
            if nth < looked_at:
                self._after(self._random.expovariate(1.0) * farm.looking_seconds, self._ask(film))
                continue
            place = nth - looked_at
            begun = place < farm.workers
            self._asked(film, self._random.randint(1, farm.shots) if begun else farm.shots)
            film.ready_at = (
                0.0 if begun else -farm.wait * (1 - (place - farm.workers) / (farm.films - looked_at))
            )
            self._queue(film)
        for worker in range(farm.workers):
            self._after(self._random.random() * farm.poll_seconds, self._asking(worker, 0))

    def _ask(self, film: _Film) -> Callable[[], None]:
        """Somebody has all shots of a film rendered, or the one that was parked."""

        def ask() -> None:
            if film.parked:
                film.parked, film.attempts = False, 0
                self.waiting += 1
            else:
                self._asked(film, self.farm.shots)
            self._make_ready(film)

        return ask

    def _asked(self, film: _Film, shots: int) -> None:
        self._number += 1
        film.looked_at, film.left, film.position = False, shots, self._number
        self.waiting += shots

    def _queue(self, film: _Film) -> None:
        self._number += 1
        heapq.heappush(self._ready, (film.position, self._number, film))

    def _make_ready(self, film: _Film) -> None:
        film.ready_at = self.now
        self._queue(film)
        if self.farm.notified:
            for worker, turn in list(self._idle.items()):
                self._asking(worker, turn)()

    # Workers

    def _asking(self, worker: int, turn: int) -> Callable[[], None]:
        """A worker without a job asks for one; `turn` tells whether it was woken before."""

        def ask() -> None:
            if self._turn[worker] != turn:
                return
            self._idle.pop(worker, None)
            self._turn[worker] += 1
            seconds = self._statements.ask * self.farm.statement_seconds
            self._at(self.database.done(self.now, seconds), self._told(worker))

        return ask

    def _told(self, worker: int) -> Callable[[], None]:
        """It claims where any job waits, of which none may be free, or a lease lapsed."""

        def told() -> None:
            lapsed = bool(self._leases) and self._leases[0][0] < self.now
            if not (self.waiting or lapsed):
                self._wait(worker)
                return
            farm, costs = self.farm, self._statements
            statements = costs.claim if self._ready or lapsed else costs.claim_nothing
            statements += costs.passing * self._passed()
            seconds = statements * farm.statement_seconds + farm.row_seconds * self.waiting
            self._at(self.database.done(self.now, seconds, write=True), self._claiming(worker))

        return told

    def _passed(self) -> int:
        """The films before the first that is ready of which a shot renders, and others wait for it."""
        if not self._ready:
            return len(self._blocked)
        return bisect_left(self._blocked, self._ready[0][0])

    def _block(self, film: _Film) -> None:
        if film.left > 1:
            insort(self._blocked, film.position)

    def _unblock(self, film: _Film) -> None:
        if film.left > 1:
            del self._blocked[bisect_left(self._blocked, film.position)]

    def _wait(self, worker: int) -> None:
        turn = self._turn[worker]
        self._idle[worker] = turn
        self._after(self.farm.poll_seconds, self._asking(worker, turn))

    def _claiming(self, worker: int) -> Callable[[], None]:
        def claim() -> None:
            self._reclaim()
            if not self._ready:
                self._wait(worker)
                return
            _, _, film = heapq.heappop(self._ready)
            film.running = True
            self._block(film)
            film.attempts += 1
            film.fence += 1
            self.waiting -= 1
            self._claims += 1
            self._renew(film)
            _Render(self, film, worker).begin()

        return claim

    def _reclaim(self) -> None:
        """Takes up jobs whose lease lapsed."""
        leases = self._leases
        while leases and leases[0][0] < self.now:
            lapsed, _, film, fence = heapq.heappop(leases)
            if not film.running or film.fence != fence or film.lease_until > lapsed:
                continue
            self._lost += 1
            self._back(film, parked=after_loss(film.attempts) == "parked")

    def _renew(self, film: _Film) -> None:
        film.lease_until = self.now + LEASE
        self._number += 1
        heapq.heappush(self._leases, (film.lease_until, self._number, film, film.fence))

    def _back(self, film: _Film, *, parked: bool) -> None:
        """A job ended without a take: it waits again, or until a person has it rendered again."""
        film.running = False
        self._unblock(film)
        film.fence += 1
        if parked:
            film.parked = True
            self._after(self._random.expovariate(1.0) * self.farm.looking_seconds, self._ask(film))
        else:
            self.waiting += 1
            film.ready_at = self.now
            self._queue(film)

    # Time

    def _at(self, time: float, event: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._events, (time, self._number, event))

    def _after(self, seconds: float, event: Callable[[], None]) -> None:
        self._at(self.now + seconds, event)


class _Render:
    """One claim, from its begin to its take, or to its loss."""

    def __init__(self, studio: Simulation, film: _Film, worker: int) -> None:
        self._studio = studio
        self._film = film
        self._fence = film.fence
        self._worker = worker
        self._over = False
        self._dies_at = math.inf
        farm, random = studio.farm, studio._random
        if farm.deaths_per_hour:
            self._dies_at = studio.now + random.expovariate(farm.deaths_per_hour / 3600.0)
        self._seconds = _render_seconds(farm, random)
        studio._delays.append(studio.now - film.ready_at)

    def begin(self) -> None:
        studio, costs = self._studio, self._studio._statements
        frozen = studio.database.done(studio.now, self._cost(costs.begin + costs.freeze), write=True)
        read = studio.storage.done(frozen, CONTEXT)
        studio._at(frozen if read is None else read, self._fails if read is None else self._rendering)
        studio._after(LOOK, self._watch)

    def _rendering(self) -> None:
        if self._over:
            return
        studio = self._studio
        ends = studio.now + self._seconds
        if ends > self._dies_at:
            studio._at(max(studio.now, self._dies_at), self._dies)
            return
        every = max(REPORT_EVERY, self._seconds / STEPS)
        studio._after(every, lambda: self._report(every, ends))
        studio._at(ends, self._stores)

    def _watch(self, looks: int = 1) -> None:
        """Beats and looks, until the job is over; each begins some time after the one before was done."""
        studio = self._studio
        if self._over:
            return
        beats = looks * LOOK >= HEARTBEAT
        costs = studio._statements
        statements = costs.beat if beats else costs.look
        done = studio.database.done(studio.now, self._cost(statements), write=beats)

        def watched() -> None:
            if self._over:
                return
            if not self._has_claim:  # it hears that another worker has the job
                self._next_job(0.0)
                return
            if beats:
                studio._renew(self._film)
            studio._after(LOOK, lambda: self._watch(1 if beats else looks + 1))

        studio._at(done, watched)

    def _report(self, every: float, ends: float) -> None:
        studio = self._studio
        if self._over or studio.now >= ends:
            return
        done = studio.database.done(studio.now, self._cost(studio._statements.report), write=True)
        studio._at(max(done, studio.now + every), lambda: self._report(every, ends))

    def _stores(self) -> None:
        if self._over:
            return
        studio = self._studio
        stored = studio.storage.done(studio.now, FILES)
        if stored is None:
            self._fails()
            return
        studio._at(stored, self._commits)

    def _commits(self) -> None:
        if self._over:
            return
        studio = self._studio
        done = studio.database.done(studio.now, self._cost(studio._statements.commit), write=True)
        studio._at(done, self._ends)

    def _ends(self) -> None:
        if self._over:
            return
        studio, film = self._studio, self._film
        if self._has_claim:
            film.running, film.attempts = False, 0
            studio._unblock(film)
            film.left -= 1
            studio._takes += 1
            studio._rendered += self._seconds
            if film.left:
                studio._make_ready(film)
            else:
                film.looked_at = True
                looking = studio._random.expovariate(1.0) * studio.farm.looking_seconds
                studio._after(looking, studio._ask(film))
        self._next_job(0.0)

    def _fails(self) -> None:
        """The storage refused a file again and again: the job failed, until a person has it done again."""
        if self._over:
            return
        if self._has_claim:
            self._studio._failed += 1
            self._studio._back(self._film, parked=True)
        self._next_job(0.0)

    def _dies(self) -> None:
        """Nobody hears of it before the lease lapsed."""
        if self._over:
            return
        self._next_job(self._studio.farm.restart_seconds)

    def _next_job(self, after: float) -> None:
        studio, worker = self._studio, self._worker
        self._over = True
        studio._after(after, studio._asking(worker, studio._turn[worker]))

    @property
    def _has_claim(self) -> bool:
        return self._film.running and self._film.fence == self._fence

    def _cost(self, statements: int) -> float:
        return statements * self._studio.farm.statement_seconds


def _render_seconds(farm: Farm, random: Random) -> float:
    if farm.spread is None:
        return random.expovariate(1.0 / farm.shot_seconds)
    if not farm.spread:
        return farm.shot_seconds
    deviation = math.sqrt(math.log1p(farm.spread**2))
    return farm.shot_seconds * random.lognormvariate(-(deviation**2) / 2, deviation)
