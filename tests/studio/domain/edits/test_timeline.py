from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from studio.domain.edits.edit import Edit
from studio.domain.edits.timeline import AddShot, Delete, Duplicate, Lock, Move, Skip, Split, Trim, new_id
from studio.domain.errors import BadStoryboard, Refused
from studio.domain.project import Project
from studio.domain.storyboard import Shot, Storyboard, shot_seed
from tests.fakes.edits import STORY, made, order, shot_of
from tests.fakes.projects import project, rendered


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


@pytest.mark.parametrize("edit", [Duplicate(shots=()), Delete(shots=()), Move(shots=(), to=0)])
def test_an_edit_of_no_shot_is_refused(edit: Edit) -> None:
    with pytest.raises(Refused, match="no shot is selected"):
        made(edit)


NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize("at", [NAN, INFINITE, -1.0])
def test_a_split_at_no_place_is_refused(at: float) -> None:
    with pytest.raises(Refused):
        made(Split(shot="b", at=at))


def test_too_many_shots_are_refused() -> None:
    board = Storyboard(title="Long", shots=tuple(Shot(id=f"s{i}", caption="x") for i in range(500)))
    for edit in (AddShot(), Duplicate(shots=("s0",)), Split(shot="s0", at=1)):
        with pytest.raises(BadStoryboard, match="at most 500 shots fit"):
            edit.apply(Project(board=board), {})


def test_flags_of_shots_are_set_and_taken_back() -> None:
    locked = made(Lock(shots=("a", "c"), on=True))
    assert [shot.lock for shot in locked.board.shots] == [True, False, True, False]
    assert made(Lock(shots=("a", "c"), on=False), locked) == project(*STORY)
    assert [shot.skip for shot in made(Skip(shots=("d",), on=True)).board.shots] == [False] * 3 + [True]
