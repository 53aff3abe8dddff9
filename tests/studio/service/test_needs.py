"""What a film needs of this machine, and whether the time of its renders is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from moc_engine.profiles import GIB, PROFILES
from studio.domain.edits.film import SetLane, SetSettings
from studio.domain.edits.timeline import Skip, Trim
from studio.domain.settings import Settings
from studio.domain.storyboard import Storyboard
from studio.service.library import MachineMemory, ModelLibrary
from studio.service.needs import Needs, RenderingMemory
from studio.store.database import Database
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.wan_folders import wan_t2v_folder


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


@pytest.fixture
def wan(tmp_path: Path) -> Storyboard:
    """The film with a real model."""
    wan_t2v_folder(tmp_path / "my-wan")
    return replace(BOARD, size=(128, 64), settings=Settings(model=str(tmp_path / "my-wan")))


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


def test_each_profile_says_what_it_does_and_whether_this_machine_has_what_it_needs(
    studio: Studio, wan: Storyboard
) -> None:
    project = studio.service.projects.create(wan)
    card = MachineMemory(main=64 * GIB, device=24 * GIB)
    needs = Needs(studio.database, ModelLibrary(machine=card), RenderingMemory())
    found = needs.of(project)
    assert found is not None
    assert (found.profile, found.by_itself, found.device_total) == ("24gb", True, 24 * GIB)
    assert [one.profile for one in found.profiles] == [profile.name for profile in PROFILES]
    chosen = found.profiles[2]
    assert (chosen.device, chosen.host, chosen.fits) == (found.device, found.host, found.fits)
    assert "frames are decoded in tiles" in chosen.does
    tiny = Needs(
        studio.database, ModelLibrary(machine=replace(card, device=GIB // 4)), RenderingMemory(profile="80gb")
    ).of(project)
    assert tiny is not None
    assert (tiny.profile, tiny.by_itself, tiny.fits) == ("80gb", False, False)
    assert not any(one.fits for one in tiny.profiles)


def test_memory_for_earlier_shots_that_the_worker_was_told_is_reckoned_with(
    studio: Studio, wan: Storyboard
) -> None:
    project = studio.service.projects.create(wan)
    library = ModelLibrary(machine=MachineMemory(main=64 * GIB, device=24 * GIB))
    told = RenderingMemory(context_memory=0.0, context_host_memory=0.0)
    need = Needs(studio.database, library, told).of(project)
    assert need is not None
    assert need.disk == need.remembered > 0


def test_the_need_is_that_of_the_lane(studio: Studio, wan: Storyboard) -> None:
    project = studio.service.projects.create(wan)
    studio.service.editing.edit(project, SetLane(lane="draft"), base=0)
    assert studio.service.needs.of(project) is None  # drafts are the embedded model's


def test_time_is_known_once_the_model_has_rendered_a_shot(studio: Studio, wan: Storyboard) -> None:
    project = studio.service.projects.create(wan)
    before = studio.service.projects.state(project)
    assert not before.time_known
    studio.service.rendering.render(project, [before.shots[0].id])
    assert [job.seconds for job in studio.service.queue.state().jobs] == [0.0]
    studio.work()
    studio.service.rendering.render(project, [before.shots[1].id])
    assert studio.service.queue.state().jobs[0].seconds > 0
    after = studio.service.projects.state(project)
    assert after.time_known
    assert after.due_seconds > 0
    assert studio.service.projects.state(studio.service.projects.create(BOARD)).time_known


def test_takes_and_jobs_keep_the_name_of_their_model(studio: Studio, wan: Storyboard) -> None:
    project = studio.service.projects.create(wan)
    shot = studio.service.projects.state(project).shots[0].id
    studio.service.rendering.render(project, [shot])
    studio.work()
    studio.service.editing.edit(project, SetSettings(settings=Settings()), base=0)
    (take,) = studio.service.projects.state(project).shots[0].takes
    (job,) = studio.service.queue.state().jobs
    assert (take.model, job.model) == ("my-wan", "my-wan")
