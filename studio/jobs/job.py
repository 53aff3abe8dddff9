"""Jobs: one shot each, and what may become of them.

    Queued ─► Running ─► Done | Failed | Cancelled
      ▲          │
      └──────────┘ the worker was lost; after `ATTEMPTS` such losses: Parked

Cancelled, Failed and Parked jobs can be queued again by a person.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

ATTEMPTS: Final = 2
"""How many workers a job may take down before it is parked."""

BEAT: Final = 5.0
"""Seconds between two signs of life of a worker."""

LEASE: Final = 30.0
"""Seconds without a sign of life after which a job is taken from its worker."""

State = Literal["queued", "running", "done", "failed", "cancelled", "parked"]

FINISHED: Final[frozenset[State]] = frozenset({"done", "failed", "cancelled", "parked"})
RETRIED: Final[frozenset[State]] = frozenset({"failed", "cancelled", "parked"})


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is asked for: a shot, why, how many seconds it should take.

    `seed` rolls it anew with that seed. With `keep_context` it sees what its chosen take saw, not what
    stands before it now. Where one of several is only to be looked at, it does not `replace` the chosen take.
    """

    shot: str
    reason: str
    seconds: float
    seed: int | None = None
    keep_context: bool = False
    replace: bool = True


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a running job is: its stage, the step of so many within it, and the seconds left."""

    stage: str
    step: int = 0
    steps: int = 0
    seconds_left: float | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job as it stands. `place` orders those that wait; times are seconds since 1970.

    `picture` counts the previews there have been.
    """

    id: int
    project: str
    order: Order
    place: float
    state: State
    attempts: int
    progress: Progress | None
    picture: int
    error: str | None
    take: str | None
    created: float
    started: float | None
    finished: float | None


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A worker's hold on a job, good until it is lost; `fence` tells it from earlier and later ones.

    It is lost after `lease` seconds without a sign of life, to whoever asks for work then.
    """

    job: int
    project: str
    order: Order
    worker: str
    fence: int
    lease: float = LEASE


def after_loss(attempts: int) -> State:
    """What becomes of a job whose worker was lost, when `attempts` workers have tried it."""
    return "parked" if attempts >= ATTEMPTS else "queued"
