"""What is typed into forms, and what they show."""

from __future__ import annotations

import pytest

from studio.domain.errors import BadStoryboard
from studio.domain.settings import Settings
from studio.domain.storyboard import CastMember, Storyboard
from studio.service.form_values import cast_of, negative_prompt_of, number, shown, whole

PICTURE = "picture:" + "a" * 64
BOARD = Storyboard(title="Test", cast=(CastMember(name="Mira", look="red", picture=PICTURE),))


@pytest.mark.parametrize(("typed", "read"), [("2.5", 2.5), (" 2,5 ", 2.5), ("1e2", 100.0), (3, 3.0)])
def test_numbers_are_read_with_a_point_or_a_comma(typed: object, read: float) -> None:
    assert number("guidance")(typed) == read


@pytest.mark.parametrize(
    ("typed", "words"),
    [("two", "'two'"), ("nan", "'nan'"), ("inf", "'inf'"), ("", "empty"), ("1,2,3", "'1,2,3'")],
)
def test_what_is_no_number_is_told(typed: str, words: str) -> None:
    for read in (number("guidance"), whole("steps")):
        with pytest.raises(BadStoryboard, match=words):
            read(typed)


@pytest.mark.parametrize(
    ("typed", "read"), [("7", 7), ("-7", -7), ("7.0", 7), ("123456789012345678901", 123456789012345678901)]
)
def test_whole_numbers_are_exact(typed: str, read: int) -> None:
    assert whole("seed")(typed) == read
    with pytest.raises(BadStoryboard, match=r"2\.5"):
        whole("seed")("2.5")


def test_a_cast_is_a_line_for_each_member_who_keeps_the_picture() -> None:
    mira, otto = cast_of("Mira: a blue cat\n\n Otto \n", BOARD)
    assert (mira.name, mira.look, mira.picture) == ("Mira", "a blue cat", PICTURE)
    assert (otto.name, otto.look, otto.picture) == ("Otto", None, None)
    with pytest.raises(BadStoryboard, match="line 2"):
        cast_of("Mira\n: red", BOARD)


def test_numbers_are_shown_as_the_page_writes_them() -> None:
    settings = Settings(steps=30, guidance=2.50, shift=0.1234567)
    values = shown(Storyboard(title="Test", settings=settings))
    assert (values["steps"], values["guidance"], values["shift"]) == ("30", "2.5", "0.1234567")
    assert (values["top_k"], values["full_below"]) == ("", "")


@pytest.mark.parametrize(
    ("before", "typed", "now"),
    [("", "", ""), (None, " ", None), ("fog", "", None), ("", " fog ", "fog"), ("", None, "")],
)
def test_an_empty_negative_prompt_stays_none_while_its_field_is_empty(
    before: str | None, typed: str | None, now: str | None
) -> None:
    board = Storyboard(title="Test", settings=Settings(negative_prompt=before))
    assert negative_prompt_of(typed, board) == now
    assert shown(board)["no_negative_prompt"] is (before == "")
