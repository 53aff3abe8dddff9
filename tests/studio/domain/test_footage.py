"""Footage as plain data: shots that follow each other, edits of them, and the way back."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.domain.errors import BadStoryboard, Refused
from studio.domain.footage import (
    MOST_CAPTION,
    Footage,
    FootageShot,
    footage_difference,
    shots_between,
    tidy_caption,
)
from studio.domain.footage_edits import (
    CaptionShot,
    FootageEdit,
    LeaveOut,
    MergeShots,
    MoveCut,
    ReplaceShots,
    SplitShot,
    StyleFootage,
)


def footage(*starts: int, frames: int = 100) -> Footage:
    shots = tuple(FootageShot(start=start, caption=f"from {start}") for start in (0, *starts))
    return Footage(frames=frames, rate=Fraction(24), shots=shots)


def starts(of: Footage) -> list[int]:
    return [shot.start for shot in of.shots]


def test_shots_end_where_the_next_begins() -> None:
    film = footage(10, 40)
    assert [film.end(shot) for shot in range(3)] == [10, 40, 100]
    assert [film.shot_at(frame) for frame in (0, 9, 10, 39, 40, 99)] == [0, 0, 1, 1, 2, 2]


def test_a_cut_moves_between_its_neighbours() -> None:
    film = footage(10, 40)
    assert starts(MoveCut(shot=1, to=11).apply(film)) == [0, 11, 40]
    assert starts(MoveCut(shot=1, to=1).apply(film)) == [0, 1, 40]
    assert starts(MoveCut(shot=2, to=99).apply(film)) == [0, 10, 99]
    for shot, to in ((1, 0), (1, 40), (2, 10), (2, 100), (1, -3)):
        with pytest.raises(Refused, match="between the cuts"):
            MoveCut(shot=shot, to=to).apply(film)
    for shot in (0, 3, -1):
        with pytest.raises(Refused):
            MoveCut(shot=shot, to=20).apply(film)


def test_shots_are_merged_with_their_captions() -> None:
    film = footage(10, 40)
    merged = MergeShots(shot=0).apply(film)
    assert starts(merged) == [0, 40]
    assert merged.shots[0].caption == "from 0 from 10"
    same = CaptionShot(shot=1, caption="from 0").apply(film)
    assert MergeShots(shot=0).apply(same).shots[0].caption == "from 0"
    half = LeaveOut(shot=0, on=True).apply(film)
    assert not MergeShots(shot=0).apply(half).shots[0].left_out
    both = LeaveOut(shot=1, on=True).apply(half)
    assert MergeShots(shot=0).apply(both).shots[0].left_out
    with pytest.raises(Refused):
        MergeShots(shot=2).apply(film)


def test_a_shot_is_split_before_a_frame() -> None:
    film = LeaveOut(shot=1, on=True).apply(footage(10, 40))
    split = SplitShot(at=25).apply(film)
    assert starts(split) == [0, 10, 25, 40]
    assert split.shots[2].caption == "from 10"
    assert split.shots[2].left_out
    for at in (0, 10, 40, 100, -1):
        with pytest.raises(Refused):
            SplitShot(at=at).apply(film)


def test_captions_are_one_line() -> None:
    film = CaptionShot(shot=0, caption="  Mira\n walks  ").apply(footage())
    assert film.shots[0].caption == "Mira walks"
    assert CaptionShot(shot=0, caption=" ").apply(film).shots[0].caption == ""
    assert StyleFootage(style=" ink\non paper ").apply(film).style == "ink on paper"
    with pytest.raises(BadStoryboard):
        tidy_caption("x" * (MOST_CAPTION + 1))
    with pytest.raises(BadStoryboard):
        tidy_caption("a\x07b")


def test_gaps_between_given_shots_are_left_out() -> None:
    shots = shots_between([(50, 70, "b", False), (10, 40, "a", False)], 100)
    told = [(shot.start, shot.caption, shot.left_out) for shot in shots]
    assert told == [(0, "", True), (10, "a", False), (40, "", True), (50, "b", False), (70, "", True)]
    overlapping = shots_between([(0, 60, "a", False), (50, 200, "b", True), (300, 400, "c", False)], 100)
    assert [(shot.start, shot.caption, shot.left_out) for shot in overlapping] == [
        (0, "a", False),
        (60, "b", True),
    ]
    assert shots_between([], 9) == (FootageShot(start=0),)


EDITS: st.SearchStrategy[FootageEdit | ReplaceShots] = st.one_of(
    st.builds(MoveCut, shot=st.integers(0, 6), to=st.integers(0, 40)),
    st.builds(MergeShots, shot=st.integers(0, 6)),
    st.builds(SplitShot, at=st.integers(0, 40)),
    st.builds(LeaveOut, shot=st.integers(0, 6), on=st.booleans()),
    st.builds(CaptionShot, shot=st.integers(0, 6), caption=st.sampled_from(["", "a", "b"])),
    st.builds(StyleFootage, style=st.sampled_from(["", "ink"])),
    st.just(ReplaceShots(shots=(FootageShot(start=0), FootageShot(start=7)), what="other")),
)


@given(st.lists(EDITS, max_size=12))
def test_every_edit_keeps_the_shots_whole_and_has_a_way_back(edits: list[FootageEdit | ReplaceShots]) -> None:
    film = footage(10, 20, frames=40)
    for edit in edits:
        try:
            changed = edit.apply(film)
        except Refused:
            continue
        assert starts(changed)[0] == 0
        assert all(a < b for a, b in pairwise([*starts(changed), changed.frames]))
        change = footage_difference(film, changed)
        assert bool(change) == (changed != film)
        assert change.apply(film) == changed
        assert change.inverse.apply(changed) == film
        film = changed
