"""The time of planned renders with several workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from studio.domain.settings import Context, Settings
from studio.domain.storyboard import Storyboard
from studio.service.rendering import PlannedRender
from studio.service.schedules import RenderSchedule
from studio.store.database import Database
from tests.fakes.inline_studio import BOARD, Studio


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


def schedule(studio: Studio, board: Storyboard, workers: int) -> RenderSchedule:
    project = studio.service.projects.create(board)
    planned = studio.service.rendering.plan(project)
    seconds = 10.0, 20.0, 30.0, 40.0
    planned = tuple(replace(item, seconds=time) for item, time in zip(planned, seconds, strict=True))
    return studio.service.schedules.of(project, planned, workers)


def film(bans: dict[str, Sequence[str]], context: Context = "all") -> Storyboard:
    shots = [replace(BOARD.shots[0], id=name, bans=tuple(bans.get(name, ()))) for name in "abcd"]
    return replace(BOARD, shots=tuple(shots), settings=Settings(context=context))


def test_shots_that_see_each_other_are_rendered_one_after_the_other(studio: Studio) -> None:
    found = schedule(studio, film({}), 3)
    assert found.waves == ((0,), (1,), (2,), (3,))
    assert (found.seconds, found.at_least) == (100, 100)
    assert [item.seconds for item in found.times] == [100] * 4
    assert [(item.begins, item.ends) for item in found.renders] == [(0, 10), (10, 30), (30, 60), (60, 100)]


def test_bans_let_shots_run_side_by_side(studio: Studio) -> None:
    found = schedule(studio, film({"b": ["a"], "c": ["b"], "d": ["b", "c"]}), 2)
    assert found.waves == ((0, 1), (2, 3))
    assert [item.waits_for for item in found.renders] == [(), (), (0,), (0,)]
    assert (found.seconds, found.at_least) == (50, 50)
    assert [(item.workers, item.seconds) for item in found.times] == [(1, 100), (2, 50), (4, 50), (8, 50)]
    assert (found.seen, found.to_see) == (2, 2)


def test_finished_context_costs_what_shots_would_see_one_by_one(studio: Studio) -> None:
    found = schedule(studio, film({}, "finished"), 4)
    assert found.waves == ((0, 1, 2, 3),)
    assert (found.seconds, found.seen, found.to_see) == (40, 0, 6)
    alone = schedule(studio, film({}, "finished"), 1)
    assert (alone.seconds, alone.seen, alone.to_see) == (100, 6, 6)


def test_a_schedule_of_nothing_takes_no_time(studio: Studio) -> None:
    project = studio.service.projects.create(replace(BOARD, shots=()))
    none: tuple[PlannedRender, ...] = ()
    found = studio.service.schedules.of(project, none, 4)
    assert (found.seconds, found.waves, found.renders) == (0, (), ())
