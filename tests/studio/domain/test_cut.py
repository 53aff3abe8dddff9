"""The cut: which frames of which takes show, and when there is none."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from studio.domain.cut import cut_of
from studio.domain.edits.film import SetFilm
from studio.domain.edits.timeline import Skip, Split, Trim
from studio.domain.errors import Refused
from studio.domain.finished_take import FinishedTake
from studio.domain.project import Project
from tests.fakes.projects import project, rendered


@pytest.fixture
def told() -> tuple[Project, dict[str, FinishedTake]]:
    return rendered(project("Mira waves", "Otto runs", "Mira sits", size=(64, 64), fps=4.0))


def test_each_clip_shows_its_own_frames(told: tuple[Project, dict[str, FinishedTake]]) -> None:
    done, takes = told
    edited = Split(shot="b", at=1.0, id="b2").apply(done, takes)
    edited = Trim(shot="c", trim=0.5, seconds=1.5).apply(edited, takes)
    clips = cut_of(Skip(shots=("a",), on=True).apply(edited, takes), takes)
    assert [(clip.number, clip.first, clip.frames) for clip in clips] == [(2, 0, 4), (3, 4, 8), (4, 2, 6)]
    assert [clip.seconds for clip in clips] == [1, 2, Fraction(3, 2)]


def test_the_middle_of_a_clip_lies_within_it(told: tuple[Project, dict[str, FinishedTake]]) -> None:
    done, takes = told
    clips = cut_of(Split(shot="a", at=0.5, id="a2").apply(done, takes), takes)
    assert [clip.middle for clip in clips[:2]] == [1, 7]
    assert all(clip.first <= clip.middle < clip.first + clip.frames for clip in clips)


def test_what_is_missing_is_named(told: tuple[Project, dict[str, FinishedTake]]) -> None:
    done, takes = told
    without = replace(done, chosen={"a": done.chosen["a"]})
    with pytest.raises(Refused, match="shots 2, 3 have no take yet"):
        cut_of(without, takes)
    with pytest.raises(Refused, match="shot 3 has no take yet"):
        cut_of(done.choosing("c", None), takes)
    with pytest.raises(Refused, match="nothing to export"):
        cut_of(Skip(shots=("a", "b", "c"), on=True).apply(done, takes), takes)


def test_takes_of_two_formats_make_no_film(told: tuple[Project, dict[str, FinishedTake]]) -> None:
    done, takes = told
    other = SetFilm(size=(96, 64)).apply(done, takes)
    name = done.chosen["b"]
    mixed = {**takes, name: replace(takes[name], inputs=replace(takes[name].inputs, size=(96, 64)))}
    with pytest.raises(Refused, match="shot 1, 3 in 64x64 at 4 fps; shot 2 in 96x64"):
        cut_of(other, mixed)


def test_rates_that_round_alike_make_no_film(told: tuple[Project, dict[str, FinishedTake]]) -> None:
    done, takes = told
    rates = {"a": Fraction(2997, 100), "b": Fraction(30_000, 1001), "c": Fraction(30_000, 1001)}
    mixed = dict(takes)
    for shot, rate in rates.items():
        name = done.chosen[shot]
        mixed[name] = replace(takes[name], inputs=replace(takes[name].inputs, fps=rate))
    with pytest.raises(Refused, match=r"shot 1 in 64x64 at 29\.97 fps; shot 2, 3 .* \(30000/1001\) fps"):
        cut_of(done, mixed)
