"""Frame rates are exact: rates of broadcasting however they are written, others as they stand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from studio.domain.edits.film import SetFilm
from studio.domain.errors import BadStoryboard
from studio.domain.frame_rate import exact_rate, exact_rate_in_words, parse_rate, rate_in_words, rate_to_json
from studio.domain.storyboard import Storyboard
from tests.fakes.projects import project

FILM = Fraction(24_000, 1001)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("24", Fraction(24)),
        ("25.0", Fraction(25)),
        ("12.5", Fraction(25, 2)),
        ("23.976", FILM),
        ("23.98", Fraction(24000, 1001)),
        ("23.9760", FILM),
        ("24000/1001", FILM),
        ("24000 / 1001", FILM),
        ("29.97", Fraction(30_000, 1001)),
        ("30000/1001", Fraction(30_000, 1001)),
        ("47.952", Fraction(48_000, 1001)),
        ("59.94", Fraction(60_000, 1001)),
        ("2997/125", Fraction(2997, 125)),
    ],
)
def test_rates_are_read_as_people_write_them(text: str, rate: Fraction) -> None:
    assert parse_rate(text) == rate
    assert parse_rate(str(rate)) == rate
    assert exact_rate(float(rate)) == rate


@pytest.mark.parametrize("text", ["", "x", "24/0", "-24", "24fps", "1/2/3", "nan", "24000/1001/1", "9" * 99])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(BadStoryboard, match="must be a number or a fraction"):
        parse_rate(text)


def test_rates_are_written_as_numbers_where_these_are_exact() -> None:
    assert [rate_to_json(Fraction(rate)) for rate in ("24", "25/2", "2997/125", "24000/1001", "1/3")] == [
        24.0, 12.5, 23.976, "24000/1001", "1/3"
    ]  # fmt: skip
    assert [rate_in_words(Fraction(rate)) for rate in ("24", "25/2", "24000/1001", "60000/1001")] == [
        "24", "12.5", "23.976", "59.94"
    ]  # fmt: skip


def test_an_edit_of_the_rate_means_the_exact_one() -> None:
    edited = SetFilm(fps=23.976).apply(project("Mira waves"), {})
    assert edited.board.fps == FILM


def test_a_stored_rate_stays_what_it_was() -> None:
    assert Storyboard(title="x", fps=23.976).fps == Fraction(2997, 125)  # type: ignore[arg-type]


def test_rates_that_round_alike_are_told_apart() -> None:
    rates = [Fraction(24), Fraction(2997, 100), Fraction(30_000, 1001), Fraction(2997, 125)]
    assert [exact_rate_in_words(rate) for rate in rates] == [
        "24", "29.97", "29.97 (30000/1001)", "23.976"
    ]  # fmt: skip
