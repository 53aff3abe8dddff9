"""What views are shown of a project on the timeline."""

from dataclasses import replace
from pathlib import Path

import pytest

from studio.domain.edits.cast import SetCast
from studio.domain.edits.film import SetFilm, SetSettings
from studio.domain.edits.shot_inputs import Steer
from studio.domain.edits.take_choice import Discard
from studio.domain.edits.timeline import AddShot, Delete, Move, Skip
from studio.domain.settings import Settings
from studio.domain.storyboard import CastMember
from studio.jobs.estimate import TYPICAL
from studio.service.state import ProjectState, ShotState, UnknownSpan
from studio.store.database import Database
from tests.fakes.inline_studio import BOARD, Studio
from tests.fakes.wan_folders import wan_a14b_folder


@pytest.fixture
def studio(tmp_path: Path, database: Database) -> Studio:
    return Studio(tmp_path, database)


def shot(state: ProjectState, name: str) -> ShotState:
    return next(shot for shot in state.shots if shot.id == name)


def test_a_new_project_is_shown_as_it_is(studio: Studio) -> None:
    state = studio.service.projects.state(studio.service.projects.create(BOARD))
    assert (state.title, state.size, state.fps, state.settings) == ("Test", (64, 64), 8.0, Settings())
    assert (state.revision, state.undo, state.redo) == (0, None, None)
    assert [(c.name, c.look) for c in state.cast] == [("Mira", "red"), ("Otto", None)]
    assert [(s.id, s.begins, s.seconds, s.state, s.due) for s in state.shots] == [
        ("a", 0.0, 1.0, "missing", True),
        ("b", 1.0, 1.0, "missing", True),
        ("c", 2.0, 1.0, "missing", True),
    ]
    assert state.seconds == 3.0
    assert state.due == 3
    pixels = 3 * 8 * 64 * 64 / 1e6
    assert state.due_seconds == pytest.approx(3 * TYPICAL.denoise + pixels * TYPICAL.draw)


def test_skipped_shots_take_no_time_in_the_cut(studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    state = studio.service.editing.edit(project, Skip(shots=("b",), on=True), base=0)
    assert [s.begins for s in state.shots] == [0.0, 1.0, 1.0]
    assert state.seconds == 2.0
    assert state.due == 2


def test_a_take_tells_where_it_looked(studio: Studio) -> None:
    project = studio.rendered()
    state = studio.service.projects.state(project)
    (take,) = shot(state, "c").takes
    assert take.id == shot(state, "c").take
    assert (take.chosen, take.discarded, take.caption) == (True, False, "Mira and Otto dance")
    assert (take.seconds, take.frames, take.fps, take.size) == (1.0, 8, 8.0, (64, 64))
    assert take.backend == "fake"
    assert take.spent > 0
    assert take.own_share == pytest.approx(0.5, abs=1e-3)
    assert [index for index, _ in take.context] == [0, 1]
    assert [share for _, share in take.context] == pytest.approx([0.5, 0.5], abs=1e-3)
    assert (state.due, state.due_seconds) == (0, 0)
    moved = studio.service.editing.edit(project, Move(shots=("a",), to=3), base=0)
    assert [index for index, _ in shot(moved, "c").takes[0].context] == [2, 0]
    gone = studio.service.editing.edit(project, Delete(shots=("a",)), base=1)
    assert [index for index, _ in shot(gone, "c").takes[0].context] == [None, 0]


def test_a_discarded_take_stays_in_the_strip(studio: Studio) -> None:
    project = studio.rendered()
    take = shot(studio.service.projects.state(project), "b").take
    assert take is not None
    state = studio.service.editing.edit(project, Discard(take=take), base=0)
    (binned,) = shot(state, "b").takes
    assert (binned.discarded, binned.chosen) == (True, False)
    assert (shot(state, "b").take, shot(state, "b").state) == (None, "missing")


def test_steering_that_cannot_take_effect_is_told(studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    edit = Steer(shot="b", pins=("a", "c"), bans=("gone",), boosts={})
    b = shot(studio.service.editing.edit(project, edit, base=0), "b")
    assert (b.pins, b.bans, b.dormant) == (("a", "c"), ("gone",), (2, None))


def words(spans: tuple[UnknownSpan, ...], text: str) -> list[str]:
    return [text[span.start : span.stop] for span in spans]


def test_words_the_model_would_not_read_are_marked(studio: Studio) -> None:
    project = studio.service.projects.create(BOARD)
    caption = "Mira zigzags in the meadwo"
    studio.service.editing.edit(project, AddShot(id="new", caption=caption), base=0)
    studio.service.editing.edit(project, Skip(shots=("new",), on=True), base=1)
    studio.service.editing.edit(project, SetFilm(style="brutalist"), base=2)
    state = studio.service.editing.edit(
        project, SetCast(cast=(CastMember(name="Mira", look="qwxz"), CastMember(name="Otto"))), base=3
    )
    assert words(shot(state, "new").unknown, caption) == ["zigzags", "meadwo"]
    assert shot(state, "new").unknown[1].suggestion == "meadow"
    assert words(state.style_unknown, "brutalist") == ["brutalist"]
    assert words(state.cast[0].unknown, "qwxz") == ["qwxz"]
    assert shot(state, "a").unknown == state.cast[1].unknown == ()


def test_another_kind_of_model_reads_every_word(studio: Studio) -> None:
    project = studio.service.projects.create(replace(BOARD, style="brutalist"))
    settings = Settings(model="Wan-AI/Wan2.2-TI2V-5B-Diffusers")
    assert studio.service.projects.state(project).style_unknown
    assert not studio.service.editing.edit(project, SetSettings(settings=settings), base=0).style_unknown


def test_a_models_own_settings_are_shown(studio: Studio, tmp_path: Path) -> None:
    embedded = studio.service.projects.create(BOARD)
    assert studio.service.projects.state(embedded).defaults == {
        "steps": "16",
        "guidance": "2.5",
        "step_cache": "none",
        "memory_policy": "everything",
        "memory_storage": "full precision",
        "positions": "one after another: true order, but times beyond what the model knows",
        "router": "MoC: those that match best",
    }
    wan_a14b_folder(tmp_path / "wan")
    settings = Settings(model=str(tmp_path / "wan"))
    project = studio.service.projects.create(replace(BOARD, settings=settings))
    shown = studio.service.projects.state(project).defaults
    assert shown["negative_prompt"].startswith("色调艳丽")
    assert {name: value for name, value in shown.items() if name != "negative_prompt"} == {
        "steps": "40",
        "guidance": "4",
        "guidance_2": "3",
        "shift": "3",
        "fps": "16",
        "size": "832x480",
        "scheduler": "UniPC: good with few steps",
        "step_cache": "none",
        "memory_policy": "frames of each shot that change most",
        "keyframes": "8",
        "memory_storage": "8 bits: half the memory, slightly less exact",
        "positions": "one after another: true order, but times beyond what the model knows",
        "router": "MoC: those that match best",
    }
