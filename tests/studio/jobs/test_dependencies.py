"""Renders that need others wait for them, whatever their order in the queue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from studio.domain.project import Lane
from studio.domain.settings import Settings
from studio.domain.storyboard import Storyboard
from studio.jobs import claims, queue
from studio.jobs.order import RenderOrder
from studio.store import projects
from studio.store.database import Database
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.unknown_model import UNKNOWN_MODEL


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


def board(*first_frames: str | None, settings: Settings | None = None) -> Storyboard:
    shots = [replace(shot, first_frame=f) for shot, f in zip(BOARD.shots, first_frames, strict=True)]
    return replace(BOARD, settings=settings or Settings(model=UNKNOWN_MODEL), shots=tuple(shots))


def order(shot: str, lane: Lane = "final", *, keep_context: bool = False) -> RenderOrder:
    return RenderOrder(shot=shot, reason="", seconds=1.0, lane=lane, keep_context=keep_context)


def worked(studio: Studio, project: str, orders: Sequence[RenderOrder]) -> list[tuple[str, Lane]]:
    """The shots and lanes in the order in which their renders ran."""
    with studio.database.write() as session:
        queue.enqueue(session, project, orders)
    ran: list[tuple[str, Lane]] = []
    while True:
        with studio.database.write() as session:
            claim = claims.claim(session, "w")
            if claim is None:
                return ran
            assert isinstance(claim.order, RenderOrder)
            ran.append((claim.order.shot, claim.order.lane))
            claims.finish(session, claim, "take")


def test_a_shot_waits_for_the_one_whose_last_frame_it_starts_with(studio: Studio) -> None:
    project = studio.service.projects.create(board(None, "previous", "shot:a"))
    backwards = [order("c"), order("b"), order("a")]
    assert [shot for shot, _ in worked(studio, project, backwards)] == ["a", "c", "b"]


@pytest.mark.parametrize(("rendered", "ran"), [(True, ["b", "a", "a"]), (False, ["a", "a", "b"])])
def test_variations_are_waited_for_where_one_of_them_becomes_the_take(
    studio: Studio, rendered: bool, ran: list[str]
) -> None:
    project = studio.service.projects.create(board(None, "previous", None))
    if rendered:
        with studio.database.write() as session:
            projects.choose(session, project, "a", "take", "final")
    variations = [replace(order("a", keep_context=True), seed=seed, replace=False) for seed in (5, 6)]
    assert [shot for shot, _ in worked(studio, project, [order("b"), *variations])] == ran


def test_without_a_first_frame_the_queue_is_worked_in_order(studio: Studio) -> None:
    project = studio.service.projects.create(board(None, None, f"picture:{'0' * 64}"))
    assert [shot for shot, _ in worked(studio, project, [order("c"), order("b"), order("a")])] == [
        "c",
        "b",
        "a",
    ]


def test_a_shot_waits_for_no_other_lane_and_not_with_the_context_that_its_take_has(studio: Studio) -> None:
    project = studio.service.projects.create(board(None, "previous", None))
    assert worked(studio, project, [order("b"), order("a", "draft")]) == [("b", "final"), ("a", "draft")]
    with studio.database.write() as session:
        projects.choose(session, project, "b", "take", "final")
    again = [order("b", keep_context=True), order("a")]
    assert [shot for shot, _ in worked(studio, project, again)] == ["b", "a"]


@pytest.mark.parametrize(("strength", "scale"), [(0.5, None), (None, 1.0), (None, None), (1.0, None)])
def test_a_final_waits_for_the_draft_that_it_is_made_from(
    studio: Studio, strength: float | None, scale: float | None
) -> None:
    settings = Settings(model=UNKNOWN_MODEL, guide_strength=strength, control_scale=scale)
    project = studio.service.projects.create(board(None, None, None, settings=settings))
    both: list[tuple[str, Lane]] = [("a", "final"), ("a", "draft")]
    assert worked(studio, project, [order("a"), order("a", "draft")]) == (
        both[::-1] if scale or strength == 0.5 else both
    )


def test_frames_are_there_when_shots_are_moved_in_the_queue(studio: Studio) -> None:
    project = studio.service.projects.create(board(None, "previous", "previous"))
    jobs = studio.service.rendering.render(project)
    studio.service.queue.move(jobs[2], before=jobs[0])
    studio.work()
    assert [request.shot for request in studio.renderer.requests] == [0, 1, 2]
    assert all(request.first_frame is not None for request in studio.renderer.requests[1:])
