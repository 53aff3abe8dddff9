"""Renders of one film that run side by side: which are handed out, in which order, and how long all take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from studio.cli.waves import FILMS
from studio.domain.messages import message
from studio.domain.settings import Settings
from studio.domain.storyboard import Storyboard
from studio.jobs import claims, queue
from studio.jobs.job import Claim
from studio.jobs.order import RenderOrder
from studio.store.database import Database
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.simulated_films import simulate
from tests.fakes.unknown_model import UNKNOWN_MODEL

MODEL = Settings(model=UNKNOWN_MODEL)


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


def film(bans: dict[str, Sequence[str]], settings: Settings = MODEL) -> Storyboard:
    shots = [replace(shot, bans=tuple(bans.get(shot.id, ()))) for shot in BOARD.shots]
    return replace(BOARD, shots=tuple(shots), settings=settings)


def queued(studio: Studio, board: Storyboard, *orders: RenderOrder) -> str:
    project = studio.service.projects.create(board)
    with studio.database.write() as session:
        queue.enqueue(session, project, orders)
    return project


def order(shot: str, seconds: float = 1.0, **fields: object) -> RenderOrder:
    return RenderOrder(shot=shot, reason="", seconds=seconds, **fields)  # type: ignore[arg-type]


def claimed(studio: Studio) -> list[Claim]:
    """All that can run now."""
    found: list[Claim] = []
    with studio.database.write() as session:
        while (claim := claims.claim(session, f"worker {len(found)}")) is not None:
            found.append(claim)
    return found


def shots(found: Sequence[Claim]) -> list[str | None]:
    return [claim.order.shot for claim in found]


def end(studio: Studio, claim: Claim) -> None:
    with studio.database.write() as session:
        claims.finish(session, claim, "take")


def test_a_shot_runs_beside_those_that_it_bans_and_after_those_that_it_sees(studio: Studio) -> None:
    queued(studio, film({"b": ["a"]}), order("a"), order("b"), order("c"))
    first, second = claimed(studio)
    assert shots([first, second]) == ["a", "b"]
    end(studio, first)
    assert claimed(studio) == []
    end(studio, second)
    assert shots(claimed(studio)) == ["c"]


def test_variations_and_other_films_run_at_once(studio: Studio) -> None:
    variations = [order("b", seed=seed, keep_context=True, replace=False) for seed in (1, 2, 3)]
    queued(studio, film({}), *variations)
    queued(studio, film({}), order("a"), order("b"))
    assert shots(claimed(studio)) == ["b", "b", "b", "a"]


def test_with_finished_context_every_shot_runs_at_once_and_sees_what_is_finished(studio: Studio) -> None:
    settings = replace(MODEL, context="finished")
    queued(studio, film({}, settings), order("a"), order("b"), order("c"))
    assert shots(claimed(studio)) == ["a", "b", "c"]


def test_one_worker_keeps_the_order_of_the_film_and_others_begin_with_the_longest(studio: Studio) -> None:
    orders = order("a", 2.0), order("b", 1.0), order("c", 5.0)
    queued(studio, film({"b": ["a"], "c": ["a", "b"]}), *orders)
    assert shots(claimed(studio)) == ["a", "c", "b"]


def test_a_job_that_was_moved_to_the_front_is_begun_first(studio: Studio) -> None:
    project = queued(
        studio, film({"b": ["a"], "c": ["a"]}), order("b", 1.0), order("c", 5.0), order("a", 2.0)
    )
    with studio.database.write() as session:
        jobs = {job.order.shot: job.id for job in queue.jobs_of(session, project)}
        queue.move(session, jobs["a"], jobs["b"])
    assert shots(claimed(studio)) == ["a", "b"]


@pytest.mark.parametrize(("context", "stopped"), [("all", True), ("finished", False)])
def test_a_failed_shot_stops_those_that_were_to_see_it(studio: Studio, context: str, stopped: bool) -> None:
    settings = replace(MODEL, context=context)  # type: ignore[arg-type]
    queued(studio, film({"b": ["a"]}, settings), order("a"), order("b"), order("c"))
    running = claimed(studio)
    with studio.database.write() as session:
        claims.fail(session, running[0], message("text", text="no memory"))
        states = {job.order.shot: job.state for job in queue.jobs_of(session)}
    assert states["b"] == "running"
    assert (states["c"] == "cancelled") == stopped


@pytest.mark.parametrize("kind", FILMS)
def test_eight_workers_take_at_most_a_tenth_longer_than_they_must(database: Database, kind: str) -> None:
    found = simulate(database, kind, shots=64, workers=8)
    assert found.bound <= found.seconds + 1e-6
    assert found.seconds <= 1.1 * found.bound
