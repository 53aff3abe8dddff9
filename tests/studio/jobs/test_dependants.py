"""Renders that wait for a take which will not come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.orm import Session

from studio.domain.messages import message
from studio.domain.project import Lane
from studio.jobs import claims, queue
from studio.jobs.job import ATTEMPTS, LEASE
from studio.jobs.order import RenderOrder
from studio.store import projects
from studio.store.database import Database
from tests.fakes.clock import FakeClock
from tests.fakes.projects import project
from tests.fakes.unknown_model import UNKNOWN_MODEL

WRONG = message("text", text="no such model")
CANCELLED = "it builds on {}, which was cancelled; it is tried again with that one"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def session(database: Database, clock: FakeClock) -> Iterator[Session]:
    timed = Database(database.url, clock)
    with timed.write() as session:
        yield session
    timed.close()


def film(session: Session, **changed: dict[str, Any]) -> str:
    """A film of the shots a, b, c and d with these fields, whose drafts have another model."""
    plain = project("one", "two", "three", "four")
    shots = tuple(replace(shot, **changed.get(shot.id, {})) for shot in plain.board.shots)
    settings = replace(plain.board.settings, model=UNKNOWN_MODEL)
    board = replace(plain.board, shots=shots, settings=settings)
    return projects.create(session, replace(plain, board=board), now=0.0)


def order(shot: str, *, lane: Lane = "final", **fields: Any) -> RenderOrder:
    return RenderOrder(shot=shot, reason="test", seconds=1.0, lane=lane, **fields)


def queued(session: Session, name: str, shots: str = "abcd", lane: Lane = "final") -> dict[str, int]:
    """The jobs of these shots."""
    jobs = queue.enqueue(session, name, [order(shot, lane=lane) for shot in shots])
    return dict(zip(shots, jobs, strict=True))


def ends(session: Session) -> dict[str | None, tuple[str, str | None]]:
    """The state of each shot's job, and why."""
    session.flush()
    return {job.order.shot: (job.state, job.error) for job in queue.jobs_of(session)}


def test_a_cancelled_render_stops_those_that_have_it_in_their_context(session: Session) -> None:
    jobs = queued(session, film(session))
    queue.cancel(session, jobs["b"])
    assert ends(session) == {
        "a": ("queued", None),
        "b": ("cancelled", None),
        "c": ("cancelled", CANCELLED.format("shot 2")),
        "d": ("cancelled", CANCELLED.format("shot 2")),
    }


def test_a_running_one_stops_them_when_it_has_ended(session: Session) -> None:
    jobs = queued(session, film(session))
    claim = claims.claim(session, "w")
    assert claim is not None
    queue.cancel(session, jobs["a"])
    assert ends(session)["b"] == ("queued", None)
    claims.give_up(session, claim)
    assert ends(session)["b"] == ("cancelled", CANCELLED.format("shot 1"))


def test_a_failed_render_stops_them_as_well(session: Session) -> None:
    queued(session, film(session))
    claim = claims.claim(session, "w")
    assert claim is not None
    claims.fail(session, claim, WRONG)
    assert ends(session)["c"] == (
        "cancelled",
        "it builds on shot 1, which failed; it is tried again with that one",
    )


def test_one_that_kills_its_workers_stops_them_too(session: Session, clock: FakeClock) -> None:
    queued(session, film(session))
    for _ in range(ATTEMPTS):
        claims.claim(session, "w")
        clock.now += LEASE + 1
        claims.reclaim(session)
    assert ends(session)["a"][0] == "parked"
    assert ends(session)["d"][0] == "cancelled"


def test_a_shot_that_has_a_take_stops_nothing(session: Session) -> None:
    name = film(session)
    projects.choose(session, name, "b", "a take", "final")
    jobs = queued(session, name)
    queue.cancel(session, jobs["b"])
    assert [ends(session)[shot][0] for shot in "acd"] == ["queued"] * 3
    queue.cancel(session, queued(session, name, "b", lane="draft")["b"])  # nor does one of the other lane
    assert [ends(session)[shot][0] for shot in "acd"] == ["queued"] * 3


def test_a_ban_leaves_a_shot_independent_unless_it_starts_with_a_frame(session: Session) -> None:
    name = film(
        session,
        c={"bans": ("b",)},
        d={"bans": ("b",), "first_frame": "shot:b"},
    )
    jobs = queued(session, name)
    queue.cancel(session, jobs["b"])
    assert ends(session)["c"] == ("queued", None)
    assert ends(session)["d"] == ("cancelled", CANCELLED.format("shot 2"))


def test_what_builds_on_a_stopped_render_is_stopped(session: Session) -> None:
    name = film(session, d={"bans": ("a", "b"), "first_frame": "previous"})
    jobs = queued(session, name, "bcd")
    queue.cancel(session, jobs["b"])
    assert ends(session)["d"] == ("cancelled", CANCELLED.format("shot 3"))


def test_what_needs_its_frame_is_stopped_wherever_it_stands_in_the_queue(session: Session) -> None:
    name = film(session, c={"first_frame": "shot:b"}, d={"bans": ("b",), "first_frame": "shot:c"})
    jobs = queued(session, name, "dcb")
    queue.cancel(session, jobs["b"])
    assert ends(session)["c"] == ("cancelled", CANCELLED.format("shot 2"))
    assert ends(session)["d"] == ("cancelled", CANCELLED.format("shot 3"))


def test_a_final_is_stopped_with_the_draft_that_it_is_made_from(session: Session) -> None:
    name = film(session, a={"guide_strength": 0.6})
    final = queued(session, name, "a")["a"]
    queue.cancel(session, queued(session, name, "a", lane="draft")["a"])
    (shown,) = [job for job in queue.jobs_of(session) if job.id == final]
    assert (shown.state, shown.error) == ("cancelled", CANCELLED.format("the draft of shot 1"))


def test_another_render_of_the_shot_is_waited_for(session: Session) -> None:
    name = film(session)
    jobs = queue.enqueue(session, name, [order("a", seed=1), order("a", seed=2), order("b")])
    queue.cancel(session, jobs[0])
    assert ends(session)["b"] == ("queued", None)
    queue.cancel(session, jobs[1])
    assert ends(session)["b"][0] == "cancelled"


def test_what_would_run_first_or_keeps_its_context_goes_on(session: Session) -> None:
    name = film(session)
    jobs = queue.enqueue(
        session, name, [order("c"), order("b"), order("d", keep_context=True), order("d", seed=3)]
    )
    queue.cancel(session, jobs[1])
    states = [job.state for job in queue.jobs_of(session)]
    assert states == ["queued", "cancelled", "queued", "cancelled"]


def test_trying_it_again_brings_back_what_was_stopped_with_it(session: Session) -> None:
    name = film(session)
    jobs = queued(session, name)
    queue.cancel(session, jobs["d"])
    queue.cancel(session, jobs["b"])
    queue.retry(session, jobs["b"])
    assert ends(session) == {
        "a": ("queued", None),
        "b": ("queued", None),
        "c": ("queued", None),
        "d": ("cancelled", None),  # which was cancelled by itself
    }
    assert [job.order.shot for job in queue.jobs_of(session) if job.state == "queued"] == ["a", "b", "c"]


def test_a_stopped_render_can_be_tried_again_without_the_other(session: Session) -> None:
    jobs = queued(session, film(session))
    queue.cancel(session, jobs["b"])
    queue.retry(session, jobs["c"])
    assert [ends(session)[shot][0] for shot in "abcd"] == ["queued", "cancelled", "queued", "cancelled"]


def test_a_shot_that_is_left_out_stops_nothing(session: Session) -> None:
    name = film(session, b={"skip": True}, c={"caption": ""})
    jobs = queued(session, name)
    queue.cancel(session, jobs["b"])
    queue.cancel(session, jobs["c"])
    assert ends(session)["d"] == ("queued", None)
