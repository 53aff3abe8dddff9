"""What a film needs of this machine, and whether the time of its renders is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from studio.domain.edits.film import SetLane
from studio.domain.edits.timeline import Skip, Trim
from studio.domain.settings import Settings
from studio.domain.storyboard import Storyboard
from studio.store.database import Database
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.wan_folders import wan_t2v_folder


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


@pytest.fixture
def wan(tmp_path: Path) -> Storyboard:
    """The film with a real model."""
    wan_t2v_folder(tmp_path / "wan")
    return replace(BOARD, size=(128, 64), settings=Settings(model=str(tmp_path / "wan")))


def test_the_longest_shot_and_those_it_remembers_decide_the_need(studio: Studio, wan: Storyboard) -> None:
    project = studio.service.projects.create(wan)
    need = studio.service.needs.of(project)
    assert need is not None
    assert 0 < need.remembered < need.host < need.host_total
    assert need.fits
    edit = studio.service.editing.edit
    edit(project, Trim(shot="a", trim=0.0, seconds=4.0), base=0)
    longest = studio.service.needs.of(project)
    assert longest is not None
    assert longest.remembered == need.remembered  # that of the two others
    edit(project, Trim(shot="b", trim=0.0, seconds=4.0), base=1)
    after_a_long_one = studio.service.needs.of(project)
    assert after_a_long_one is not None
    assert after_a_long_one.remembered > need.remembered
    edit(project, Skip(shots=("b", "c"), on=True), base=2)
    alone = studio.service.needs.of(project)
    assert alone is not None
    assert alone.remembered == 0
    assert alone.host < need.host


def test_the_need_is_that_of_the_lane(studio: Studio, wan: Storyboard) -> None:
    project = studio.service.projects.create(wan)
    studio.service.editing.edit(project, SetLane(lane="draft"), base=0)
    assert studio.service.needs.of(project) is None  # drafts are the embedded model's


def test_time_is_known_once_the_model_has_rendered_a_shot(studio: Studio, wan: Storyboard) -> None:
    project = studio.service.projects.create(wan)
    before = studio.service.projects.state(project)
    assert not before.time_known
    studio.service.rendering.render(project, [before.shots[0].id])
    studio.work()
    after = studio.service.projects.state(project)
    assert after.time_known
    assert after.due_seconds > 0
    assert studio.service.projects.state(studio.service.projects.create(BOARD)).time_known
