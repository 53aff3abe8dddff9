"""What every edit has: a name, words for undo, and refusals."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.domain.edits.cast import SetCast, SetCastPicture
from studio.domain.edits.edit import Edit
from studio.domain.edits.film import SetFilm, SetSettings
from studio.domain.edits.restore import Restore
from studio.domain.edits.shot_inputs import SetCaption, SetGuide, SetSeed, Steer
from studio.domain.edits.take_choice import Choose, Discard
from studio.domain.edits.timeline import AddShot, Delete, Duplicate, Lock, Move, Skip, Split, Trim
from studio.domain.errors import BadStoryboard, Refused, StoryField
from studio.domain.settings import Settings
from studio.domain.storyboard import CastMember
from tests.fakes.edits import EDITS, STORY, made
from tests.fakes.projects import project, rendered


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (SetFilm(title="New"), "change the title"),
        (SetFilm(style="night", fps=12.0), "change the style and frame rate"),
        (SetFilm(), "change the film"),
        (SetSettings(settings=Settings()), "change the settings"),
        (SetCast(cast=()), "change the cast"),
        (SetCastPicture(name="Mira", picture=None), "change Mira's picture"),
        (SetGuide(shot="b", control_scale=1.0), "change the guide of shot 2"),
        (AddShot(), "add a shot"),
        (SetCaption(shot="b", caption="x"), "change the caption of shot 2"),
        (SetSeed(shot="a", seed=1), "change the seed of shot 1"),
        (Trim(shot="d", trim=0, seconds=1), "trim shot 4"),
        (Split(shot="a", at=1), "split shot 1"),
        (Duplicate(shots=("c", "a")), "duplicate shots 1 and 3"),
        (Delete(shots=("c", "a", "b")), "delete shots 1, 2 and 3"),
        (Move(shots=("a", "b", "c", "d"), to=0), "move shots 1, 2, 3 and 4"),
        (Lock(shots=("a",), on=True), "lock shot 1"),
        (Lock(shots=("a",), on=False), "unlock shot 1"),
        (Skip(shots=("a", "b"), on=True), "skip shots 1 and 2"),
        (Skip(shots=("a",), on=False), "bring back shot 1"),
        (Steer(shot="c"), "steer shot 3"),
        (Choose(shot="c", take="t"), "choose another take for shot 3"),
        (Discard(take="t"), "delete a take"),
        (Restore(shot="b", take="t"), "restore the settings of a take of shot 2"),
    ],
)
def test_edits_are_called_by_what_they_do(edit: Edit, words: str) -> None:
    assert edit.words(project(*STORY)) == words


def test_many_shots_are_counted_in_words() -> None:
    many = project(*["Mira waves"] * 6)
    assert Delete(shots=tuple("abcdef")).words(many) == "delete 6 shots"


def test_each_edit_has_a_name_of_its_own() -> None:
    names = [edit.__dataclass_fields__["op"].default for edit in get_args(Edit)]
    assert len(set(names)) == len(names)


GONE: list[Any] = [
    SetCaption(shot="x", caption="y"),
    SetSeed(shot="x", seed=1),
    Trim(shot="x", trim=0, seconds=1),
    Split(shot="x", at=1),
    Duplicate(shots=("a", "x")),
    Delete(shots=("a", "x")),
    Move(shots=("x",), to=0),
    Lock(shots=("x",), on=True),
    Skip(shots=("x",), on=True),
    Steer(shot="x"),
    Choose(shot="x", take="t"),
    Restore(shot="x", take="t"),
]


@pytest.mark.parametrize("edit", GONE, ids=lambda edit: edit.op)
def test_what_is_gone_cannot_be_edited(edit: Edit) -> None:
    with pytest.raises(Refused, match="that shot is not there any more"):
        made(edit)


NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("edit", "field"),
    [
        (SetFilm(title=" "), ("title",)),
        (SetFilm(size=(63, 64)), ("size",)),
        (SetFilm(fps=NAN), ("fps",)),
        (SetFilm(seed=-1), ("seed",)),
        (AddShot(caption="\x00"), ("shots", 4, "caption")),
        (AddShot(seconds=61, at=1), ("shots", 1, "seconds")),
        (AddShot(id="a"), ("shots",)),
        (AddShot(id=""), ("shots", 4, "id")),
        (AddShot(id="a/b"), ("shots", 4, "id")),
        (AddShot(id="é"), ("shots", 4, "id")),
        (AddShot(id="x" * 65), ("shots", 4, "id")),
        (Split(shot="b", at=1, id="<b>"), ("shots", 2, "id")),
        (Duplicate(shots=("b",), ids=("a b",)), ("shots", 2, "id")),
        (SetCaption(shot="c", caption="x" * 2001), ("shots", 2, "caption")),
        (SetSeed(shot="b", seed=2**63), ("shots", 1, "seed")),
        (Trim(shot="b", trim=0, seconds=0.1), ("shots", 1, "seconds")),
        (Trim(shot="b", trim=58, seconds=3), ("shots", 1, "trim")),
        (Trim(shot="b", trim=NAN, seconds=3), ("shots", 1, "trim")),
        (Trim(shot="b", trim=0, seconds=INFINITE), ("shots", 1, "seconds")),
        (Split(shot="b", at=1, id="a"), ("shots",)),
        (Duplicate(shots=("b",), ids=("a",)), ("shots",)),
        (Steer(shot="d", pins=("a",), bans=("a",)), ("shots", 3, "bans", 0)),
        (Steer(shot="d", pins=("\ud800",)), ("shots", 3, "pins")),
        (Steer(shot="d", bans=("a b",)), ("shots", 3, "bans")),
        (Steer(shot="d", bans=("a/",)), ("shots", 3, "bans")),
        (Steer(shot="d", bans=("/Mira",)), ("shots", 3, "bans")),
        (Steer(shot="d", pins=("a/\x00",)), ("shots", 3, "pins")),
        (Steer(shot="d", boosts={"": 1.0}), ("shots", 3, "boosts")),
        (Steer(shot="d", boosts={"a": NAN}), ("shots", 3, "boosts", "a")),
        (SetGuide(shot="c", guide_strength=0.5, control_scale=1.0), ("shots", 2, "control_scale")),
        (SetGuide(shot="c", control_scale=2.1), ("shots", 2, "control_scale")),
        (SetCastPicture(name="Otto", picture="otto.png"), ("cast", 1, "picture")),
        (SetCast(cast=(CastMember(name="Ada"), CastMember(name="ada"))), ("cast", 1, "name")),
    ],
)
def test_a_broken_rule_names_its_field(edit: Edit, field: StoryField) -> None:
    with pytest.raises(BadStoryboard) as refused:
        made(edit)
    assert refused.value.field == field


@given(st.lists(EDITS, max_size=10))
def test_edits_refuse_or_leave_a_sound_project(edits: list[Any]) -> None:
    now, takes = rendered(project(*STORY))
    for edit in edits:
        before = now
        words = edit.words(before)
        try:
            now = edit.apply(before, takes)
        except (BadStoryboard, Refused):
            continue
        assert words
        assert now.chosen.keys() <= {shot.id for shot in now.board.shots}
