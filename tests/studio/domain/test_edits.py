"""Each edit: what it does, what it is called, what it refuses."""

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from studio.domain.edits import (
    AddShot,
    Choose,
    Delete,
    Discard,
    Duplicate,
    Edit,
    Lock,
    Move,
    Restore,
    SetCaption,
    SetCast,
    SetFilm,
    SetSeed,
    SetSettings,
    Skip,
    Split,
    Steer,
    Trim,
    new_id,
)
from studio.domain.errors import BadStoryboard, Refused, StoryField
from studio.domain.planner import shot_statuses, wanted_seed
from studio.domain.project import Project
from studio.domain.settings import Settings
from studio.domain.storyboard import CastMember, Shot, Storyboard, shot_seed
from tests.fakes.edits import EDITS, STORY
from tests.fakes.projects import MODEL, project, rendered


def made(edit: Edit, start: Project | None = None) -> Project:
    return edit.apply(start or project(*STORY), {})


def order(now: Project) -> str:
    return " ".join(shot.id for shot in now.board.shots)


def shot_of(now: Project, name: str) -> Shot:
    place = now.index_of(name)
    assert place is not None
    return now.board.shots[place]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (SetFilm(title="New"), "change the title"),
        (SetFilm(style="night", fps=12.0), "change the style and frame rate"),
        (SetFilm(), "change the film"),
        (SetSettings(settings=Settings()), "change the settings"),
        (SetCast(cast=()), "change the cast"),
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


def test_the_film_changes_where_it_is_told_to() -> None:
    start = project(*STORY, style="by day")
    edit = SetFilm(title="New", size=(640, 360), fps=12.0, seed=3)
    board = made(edit, start).board
    assert (board.title, board.size, board.fps, board.seed) == ("New", (640, 360), 12.0, 3)
    assert board.style == "by day"
    assert made(SetFilm(style=""), start).board.style == ""


def test_settings_and_cast_are_replaced() -> None:
    settings, cast = Settings(steps=3), (CastMember(name="Ada"),)
    assert made(SetSettings(settings=settings)).board.settings == settings
    assert made(SetCast(cast=cast)).board.cast == cast


@pytest.mark.parametrize(
    ("at", "found"),
    [(None, "a b c d new"), (0, "new a b c d"), (2, "a b new c d"), (99, "a b c d new"), (-1, "new a b c d")],
)
def test_a_shot_is_added_where_it_is_wanted(at: int | None, found: str) -> None:
    now = made(AddShot(at=at, id="new", caption=" Mira \n rests ", seconds=2.0))
    assert order(now) == found
    assert shot_of(now, "new") == Shot(id="new", caption="Mira rests", seconds=2.0)


def test_new_ids_differ() -> None:
    assert len({new_id() for _ in range(100)}) == 100


def test_captions_are_written_on_one_line() -> None:
    assert shot_of(made(SetCaption(shot="b", caption="  Otto \n\tsits ")), "b").caption == "Otto sits"
    assert shot_of(made(SetCaption(shot="b", caption=" \n ")), "b").caption == ""


def test_seed_and_flags_and_steering() -> None:
    assert shot_of(made(SetSeed(shot="b", seed=7)), "b").seed == 7
    assert shot_of(made(SetSeed(shot="b", seed=None), made(SetSeed(shot="b", seed=7))), "b").seed is None
    locked = made(Lock(shots=("a", "c"), on=True))
    assert [shot.lock for shot in locked.board.shots] == [True, False, True, False]
    assert made(Lock(shots=("a", "c"), on=False), locked) == project(*STORY)
    assert [shot.skip for shot in made(Skip(shots=("d",), on=True)).board.shots] == [False] * 3 + [True]
    steered = shot_of(made(Steer(shot="d", pins=("a",), bans=("b",), boosts={"c": 2.0})), "d")
    assert (steered.pins, steered.bans, steered.boosts) == (("a",), ("b",), {"c": 2.0})


def test_a_trim_keeps_whole_microseconds() -> None:
    shot = shot_of(made(Trim(shot="b", trim=1 / 3, seconds=2 / 3)), "b")
    assert (shot.trim, shot.seconds) == (0.333333, 0.666667)


@given(st.floats(0, 9), st.floats(0.5, 10), st.floats(0.5, 10))
def test_a_split_keeps_what_is_shown(trim: float, seconds: float, at: float) -> None:
    assume(trim + seconds <= 9.999999)
    start = made(Trim(shot="b", trim=trim, seconds=seconds))
    whole = shot_of(start, "b")
    if not 0.5 <= at <= whole.seconds - 0.5:
        with pytest.raises(Refused, match=r"both parts must be at least 0\.5 s long"):
            made(Split(shot="b", at=at, id="new"), start)
        return
    now = made(Split(shot="b", at=at, id="new"), start)
    assert order(now) == "a b new c d"
    first, second = shot_of(now, "b"), shot_of(now, "new")
    assert first.trim == whole.trim
    assert second.trim == pytest.approx(first.trim + first.seconds, abs=2e-6)
    assert first.seconds + second.seconds == pytest.approx(whole.seconds, abs=2e-6)


@given(st.integers(500_000, 9_500_000))
def test_the_longest_shot_can_be_split_anywhere(microseconds: int) -> None:
    start = made(Trim(shot="b", trim=0, seconds=10))
    now = made(Split(shot="b", at=microseconds / 1e6, id="new"), start)
    second = shot_of(now, "new")
    made(Trim(shot="new", trim=second.trim, seconds=second.seconds), now)


def test_both_halves_of_a_split_show_its_take_and_keep_its_seed() -> None:
    done, takes = rendered(project(*STORY))
    now = Split(shot="b", at=1.0, id="new").apply(done, takes)
    assert now.chosen["new"] == now.chosen["b"]
    assert shot_of(now, "b").seed is None
    assert shot_of(now, "new").seed == shot_seed(done.board, 1)


def test_a_copy_stands_behind_its_original_without_its_takes() -> None:
    done, takes = rendered(made(Lock(shots=("a",), on=True)))
    now = Duplicate(shots=("a", "c"), ids=("n0", "n1")).apply(done, takes)
    assert order(now) == "a n0 b c n1 d"
    assert shot_of(now, "n0") == replace(shot_of(now, "a"), id="n0", lock=False)
    assert now.chosen == done.chosen


def test_copies_beyond_the_given_ids_get_new_ones() -> None:
    now = made(Duplicate(shots=("a", "b", "c"), ids=("n0",)))
    assert len({shot.id for shot in now.board.shots}) == 7


def test_deleted_shots_forget_their_choice() -> None:
    done, takes = rendered(project(*STORY))
    now = Delete(shots=("b", "d")).apply(done, takes)
    assert order(now) == "a c"
    assert now.chosen.keys() == {"a", "c"}


@pytest.mark.parametrize(
    ("shots", "to", "found"),
    [
        (("a",), 4, "b c d a"),
        (("a",), 0, "a b c d"),
        (("a",), 1, "a b c d"),
        (("d", "b"), 0, "b d a c"),
        (("a", "d"), 2, "b a d c"),
        (("a", "b"), 3, "c a b d"),
        (("c",), 99, "a b d c"),
        (("c",), -5, "c a b d"),
    ],
)
def test_shots_are_moved_before_a_place(shots: tuple[str, ...], to: int, found: str) -> None:
    assert order(made(Move(shots=shots, to=to))) == found


def test_another_take_is_chosen_and_a_discarded_one_cannot_be() -> None:
    done, takes = rendered(project(*STORY))
    take = done.chosen["b"]
    assert Choose(shot="c", take=take).apply(done, takes).chosen["c"] == take
    binned = Discard(take=take).apply(done, takes)
    assert binned.discarded == {take}
    assert "b" not in binned.chosen
    with pytest.raises(Refused, match="that take is not there any more"):
        Choose(shot="b", take=take).apply(binned, takes)


def test_a_take_gives_its_settings_back() -> None:
    done, takes = rendered(project(*STORY))
    take = done.chosen["b"]
    edited = SetCaption(shot="b", caption="Otto sits").apply(done, takes)
    edited = Trim(shot="b", trim=1.0, seconds=1.0).apply(edited, takes)
    edited = SetSeed(shot="b", seed=99).apply(edited, takes).choosing("b", None)
    now = Restore(shot="b", take=take).apply(edited, takes)
    shot = shot_of(now, "b")
    assert (shot.caption, shot.trim, shot.seconds) == (STORY[1], 0.0, 3.0)
    assert shot.seed == takes[take].inputs.seed
    assert shot_statuses(now, takes, MODEL)[1].state == "fresh"


def test_a_rolled_take_given_back_stays_fresh() -> None:
    done, takes = rendered(project(*STORY))
    old = takes[done.chosen["a"]]
    asked = wanted_seed(done.board, 0, None)
    takes["rolled"] = replace(old, id="rolled", inputs=replace(old.inputs, seed=5), rolled_from=asked)
    now = Restore(shot="a", take="rolled").apply(done, takes)
    assert shot_statuses(now, takes, MODEL)[0].state == "fresh"


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


@pytest.mark.parametrize("edit", [Choose(shot="a", take="t"), Discard(take="t"), Restore(shot="a", take="t")])
def test_a_take_that_is_gone_cannot_be_used(edit: Edit) -> None:
    with pytest.raises(Refused, match="that take is not there any more"):
        made(edit)


@pytest.mark.parametrize("edit", [Duplicate(shots=()), Delete(shots=()), Move(shots=(), to=0)])
def test_an_edit_of_no_shot_is_refused(edit: Edit) -> None:
    with pytest.raises(Refused, match="no shot is selected"):
        made(edit)


@pytest.mark.parametrize(
    "other", [{"pins": ("b",)}, {"bans": ("b",)}, {"boosts": {"b": 1.0}}, {"pins": ("b/Mira",)}]
)
def test_a_shot_cannot_steer_itself(other: Any) -> None:
    with pytest.raises(Refused, match="itself"):
        made(Steer(shot="b", **other))


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
        (SetCast(cast=(CastMember(name="Ada"), CastMember(name="ada"))), ("cast", 1, "name")),
    ],
)
def test_a_broken_rule_names_its_field(edit: Edit, field: StoryField) -> None:
    with pytest.raises(BadStoryboard) as refused:
        made(edit)
    assert refused.value.field == field


@pytest.mark.parametrize("at", [NAN, INFINITE, -1.0])
def test_a_split_at_no_place_is_refused(at: float) -> None:
    with pytest.raises(Refused):
        made(Split(shot="b", at=at))


def test_too_many_shots_are_refused() -> None:
    board = Storyboard(title="Long", shots=tuple(Shot(id=f"s{i}", caption="x") for i in range(500)))
    for edit in (AddShot(), Duplicate(shots=("s0",)), Split(shot="s0", at=1)):
        with pytest.raises(BadStoryboard, match="at most 500 shots fit"):
            edit.apply(Project(board=board), {})


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
