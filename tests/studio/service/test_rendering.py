"""Planning renders and queueing them."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from studio.domain.edits.film import SetSettings
from studio.domain.edits.shot_inputs import SetCaption, SetSeed
from studio.domain.edits.take_choice import Choose
from studio.domain.edits.timeline import Lock
from studio.domain.errors import Refused
from studio.domain.settings import Settings
from studio.domain.storyboard import CastMember, Shot, Storyboard
from studio.service.state import ProjectState, ShotState
from studio.store.database import Database
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.wan_folders import wan_euler_folder


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


def shot(state: ProjectState, name: str) -> ShotState:
    return next(shot for shot in state.shots if shot.id == name)


def test_due_shots_are_planned_and_rendered(studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    plan = studio.service.rendering.plan(project)
    assert [(item.shot, item.index, item.reasons) for item in plan] == [
        (name, index, ("not rendered yet",)) for index, name in enumerate("abc")
    ]
    assert all(item.seconds > 0 for item in plan)
    assert len(studio.service.rendering.render(project)) == 3
    assert studio.service.rendering.render(project) == []  # they wait already
    studio.work()
    assert studio.service.rendering.plan(project) == ()
    with pytest.raises(Refused, match="no shot is outdated"):
        studio.service.rendering.render(project)
    studio.service.editing.edit(project, SetCaption(shot="b", caption="Otto sits"), base=0)
    assert [item.shot for item in studio.service.rendering.plan(project)] == ["b", "c"]
    assert next(item.reasons for item in studio.service.rendering.plan(project, "all")) == ("asked for",)
    assert [item.shot for item in studio.service.rendering.plan(project, ("c", "gone"))] == ["c"]


def test_an_up_to_date_shot_after_an_outdated_one_says_why_it_is_rendered(studio: Studio) -> None:
    project = studio.rendered()
    studio.service.editing.edit(project, SetSeed(shot="b", seed=99), base=0)
    plan = studio.service.rendering.plan(project, "outdated")
    assert [(item.shot, item.reasons) for item in plan] == [
        ("b", ("seed changed",)),
        ("c", ("a shot before it is rendered first",)),
    ]


def test_locked_skipped_and_unwritten_shots_are_not_rendered(studio: Studio) -> None:
    shots = (
        Shot(id="locked", caption="Mira waves"),
        Shot(id="skipped", caption="Mira waves", skip=True),
        Shot(id="unwritten", caption=""),
    )
    project = studio.service.projects.create(replace(BOARD, shots=shots))
    studio.service.rendering.render(project)
    studio.work()
    studio.service.editing.edit(project, Lock(shots=("locked",), on=True), base=0)
    for scope in ("all", ("locked", "skipped", "unwritten")):
        assert studio.service.rendering.plan(project, scope) == ()
        with pytest.raises(Refused, match="what is left is locked, skipped or without a caption"):
            studio.service.rendering.render(project, scope)
    for name in ("locked", "skipped", "unwritten", "gone"):
        with pytest.raises(Refused, match="this shot cannot be rendered"):
            studio.service.rendering.reroll(project, name)
    empty = studio.service.projects.create(Storyboard(title="Empty"))
    with pytest.raises(Refused, match="there are no shots yet"):
        studio.service.rendering.render(empty)


def test_a_locked_shot_without_a_take_is_rendered(studio: Studio) -> None:
    shot = Shot(id="locked", caption="Mira waves", lock=True)
    project = studio.service.projects.create(replace(BOARD, shots=(shot,)))
    studio.service.rendering.render(project)
    studio.work()
    assert [shot.state for shot in studio.service.projects.state(project).shots] == ["fresh"]


def test_rerolls_have_other_seeds_and_leave_the_shot_up_to_date(studio: Studio) -> None:
    project = studio.rendered()
    assert len(studio.service.rendering.reroll(project, "c", count=3)) == 3
    studio.work()
    state = studio.service.projects.state(project)
    takes = shot(state, "c").takes
    assert len({take.seed for take in takes}) == len(takes) == 4
    assert [take.chosen for take in takes] == [True, False, False, False]  # they are to choose from
    assert [s.state for s in state.shots] == ["fresh"] * 3
    for take in takes:
        chosen = studio.service.editing.edit(project, Choose(shot="c", take=take.id), base=state.revision)
        assert shot(chosen, "c").state == "fresh"
        state = chosen


def test_a_rerolled_shot_keeps_its_seed_when_rendered_again(studio: Studio) -> None:
    project = studio.rendered()
    studio.service.rendering.reroll(project, "c", seed=5)
    studio.work()
    studio.service.editing.edit(project, SetCaption(shot="c", caption="Mira and Otto sit"), base=0)
    studio.service.rendering.render(project)
    studio.work()
    state = studio.service.projects.state(project)
    assert [take.seed for take in shot(state, "c").takes if take.chosen] == [5]
    assert shot(state, "c").state == "fresh"


@pytest.mark.parametrize(("count", "seed"), [(0, None), (9, None), (1, -1), (1, 2**63)])
def test_rerolls_are_limited(studio: Studio, count: int, seed: int | None) -> None:
    project = studio.service.projects.create(BOARD)
    with pytest.raises(Refused):
        studio.service.rendering.reroll(project, "a", count=count, seed=seed)
    assert studio.service.queue.state().jobs == ()


def test_the_job_reports_a_missing_model(studio: Studio) -> None:
    project = studio.rendered()
    missing = SetSettings(settings=Settings(model="/no/such/folder"))
    away = studio.service.editing.edit(project, missing, base=0)
    assert {(s.state, s.take, bool(s.other_take)) for s in away.shots} == {("missing", None, True)}
    assert not any(s.unknown for s in away.shots)
    studio.service.rendering.render(project, ("a",))
    studio.work()
    failed = studio.service.queue.state().jobs[0]
    assert failed.state == "failed"
    assert failed.error is not None
    assert "there is no folder /no/such/folder" in failed.error


def test_a_cast_larger_than_the_model_tells_apart_is_refused_where_it_matters(studio: Studio) -> None:
    """The studio takes nine cast members; the embedded model has tokens for eight."""
    board = Storyboard(
        title="Many",
        size=(64, 64),
        fps=Fraction(8),
        cast=tuple(CastMember(name=f"Name{number}") for number in range(1, 10)),
        shots=(Shot(id="a", caption="Name8 waves"), Shot(id="b", caption="Name9 waves", seconds=12.0)),
    )
    project = studio.service.projects.create(board)
    assert len(studio.service.rendering.render(project, ["a"])) == 1
    words = "shot 2 names Name9, number 9 of the cast, and the embedded model tells only 8 apart"
    with pytest.raises(Refused, match=words):
        studio.service.rendering.render(project, ["b"])
    with pytest.raises(Refused, match=words):
        studio.service.rendering.reroll(project, "b")
    with pytest.raises(Refused, match=words):
        studio.service.rendering.outline(project, "all")


def test_the_plan_says_what_a_model_will_not_read_of_long_captions(studio: Studio, tmp_path: Path) -> None:
    wan_euler_folder(tmp_path / "wan")
    board = Storyboard(
        title="Long",
        style="dawn " * 300,
        shots=(
            Shot(id="a", caption="fox"),
            Shot(id="b", caption="fox " * 300),
            Shot(id="c", caption="a " * 600),
        ),
        settings=Settings(model=str(tmp_path / "wan")),
    )
    project = studio.service.projects.create(board)
    fits, short, none = (item.reasons for item in studio.service.rendering.plan(project))
    assert fits == ("not rendered yet",)
    assert short[1:] == ("captions are too long: the last 90 tokens of the style will not be read",)
    assert none[1:] == (
        "captions are too long: the last 301 tokens of the style will not be read",
        "the caption is too long: its last 89 tokens will not be read",
    )
    assert [item.reasons for item in studio.service.rendering.outline(project)] == [fits, short, none]
