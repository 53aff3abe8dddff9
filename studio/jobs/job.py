"""Jobs: the states they pass through, and the claim that a worker has on one.

    queued ─► running ─► done | failed | cancelled
      ▲          │
      └──────────┘ the worker was lost; after `ATTEMPTS` losses: parked

Cancelled, failed and parked jobs can be queued again by a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from studio.domain.messages import Message
from studio.jobs.order import Order

ATTEMPTS: Final = 2
"""Lost workers after which a job is parked."""

HEARTBEAT: Final = 5.0
"""Seconds between two heartbeats of a worker."""

LEASE: Final = 30.0
"""Seconds without a heartbeat after which a job is taken from its worker."""

LOADING_LEASES: Final = 4
"""Leases without a heartbeat while a model is loaded: native code may hold up all threads of the worker."""

State = Literal["queued", "running", "done", "failed", "cancelled", "parked"]

FINISHED: Final[frozenset[State]] = frozenset({"done", "failed", "cancelled", "parked"})
RETRIED: Final[frozenset[State]] = frozenset({"failed", "cancelled", "parked"})


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The stage of a running job, the step within it, and the seconds left."""

    stage: str
    step: int = 0
    steps: int = 0
    seconds_left: float | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as it is now. `position` orders the queue; times are seconds since 1970.

    `problem` is why it failed, `picture` counts its preview pictures, `result` is what it made, such as the
    id of a take.
    """

    id: int
    project: str | None
    order: Order
    position: float
    state: State
    attempts: int
    progress: Progress | None
    picture: int
    problem: Message | None
    result: str | None
    created: float
    started: float | None
    finished: float | None

    @property
    def error(self) -> str | None:
        """Why it failed, in English."""
        return None if self.problem is None else str(self.problem)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A worker's claim on a job; `fence` tells it from earlier and later claims on the same job.

    It is lost once another worker asks for work after `lease` seconds without a heartbeat.
    """

    job: int
    project: str | None
    order: Order
    worker: str
    fence: int
    lease: float = LEASE


def after_loss(attempts: int) -> State:
    """The state of a job whose worker was lost, when `attempts` workers have tried it."""
    return "parked" if attempts >= ATTEMPTS else "queued"
