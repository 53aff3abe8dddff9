from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studio.domain.errors import BadStoryboard
from studio.domain.settings import Settings
from studio.domain.storyboard import (
    CastMember,
    Shot,
    Storyboard,
    check_ready,
    compose_captions,
    parse_size,
    shot_seed,
    steering,
)


def board(*captions: str, cast: tuple[CastMember, ...] = (), **rest: object) -> Storyboard:
    shots = tuple(Shot(id=f"shot-{i + 1}", caption=caption) for i, caption in enumerate(captions))
    return Storyboard(title="A test", shots=shots, cast=cast, **rest)  # type: ignore[arg-type]


MIRA = CastMember(name="Mira", look="a red round creature")


def test_a_look_joins_the_first_caption_that_names_its_owner() -> None:
    story = board("Otto waves", "Mira waves", "Mira sits", cast=(MIRA, CastMember(name="Otto")))
    assert compose_captions(story) == ("Otto waves", "Mira waves. Mira is a red round creature.", "Mira sits")


def test_a_look_joins_every_caption_on_request() -> None:
    story = board("Mira waves!", "Mira sits", cast=(MIRA,), settings=Settings(looks="every"))
    assert compose_captions(story) == (
        "Mira waves! Mira is a red round creature.",
        "Mira sits. Mira is a red round creature.",
    )


def test_a_skipped_shot_does_not_introduce_anybody() -> None:
    story = board("Mira waves", "Mira sits", cast=(MIRA,))
    story = replace(story, shots=(replace(story.shots[0], skip=True), story.shots[1]))
    assert compose_captions(story) == ("Mira waves", "Mira sits. Mira is a red round creature.")


@pytest.mark.parametrize(
    "caption", ["MIRA waves", "here is mira's hat", "MIRA’S hat", "“Mira”", "Mira", "_Mira_"]
)
def test_a_name_counts_as_a_word_in_any_case(caption: str) -> None:
    assert "red round" in compose_captions(board(caption, cast=(MIRA,)))[0]


@pytest.mark.parametrize("caption", ["Miranda waves", "admira waves", "Mira2 waves"])
def test_a_name_inside_another_word_does_not_count(caption: str) -> None:
    assert compose_captions(board(caption, cast=(MIRA,))) == (caption,)


def test_names_with_signs_of_their_own() -> None:
    member = CastMember(name="R2-D2 (old)", look="white")
    assert compose_captions(board("R2-D2 (old) waves", cast=(member,)))[0].endswith("R2-D2 (old) is white.")


def test_seeds_come_from_the_film_and_the_shot() -> None:
    story = board("one", "two", seed=7)
    assert shot_seed(story, 0) != shot_seed(story, 1)
    assert shot_seed(replace(story, seed=8), 0) != shot_seed(story, 0)
    moved = replace(story, shots=story.shots[::-1])
    assert shot_seed(moved, 1) == shot_seed(story, 0)
    own = replace(story, shots=(replace(story.shots[0], seed=12), story.shots[1]))
    assert shot_seed(own, 0) == 12


def test_steering_speaks_of_places_and_sleeps_where_it_cannot_act() -> None:
    story = board("one", "two", "three", "four")
    shots = list(story.shots)
    shots[2] = replace(shots[2], pins=("shot-1",), bans=("shot-2",), boosts={"shot-4": 1.0, "gone": 2.0})
    story = replace(story, shots=tuple(shots))
    told = steering(story, 2)
    assert (told.pins, told.bans, told.boosts, told.dormant) == (((0, None),), ((1, None),), {}, (3, None))

    shots[0] = replace(shots[0], skip=True)
    told = steering(replace(story, shots=tuple(shots)), 2)
    assert (told.pins, told.dormant) == ((), (0, 3, None))


def test_parts_of_shots_are_steered_by_name() -> None:
    story = board("one", "two", "three")
    shots = list(story.shots)
    shots[2] = replace(shots[2], pins=("shot-1/Mira",), bans=("shot-1", "shot-2/a/b"), boosts={"gone/x": 1.0})
    told = steering(replace(story, shots=tuple(shots)), 2)
    assert told.pins == ((0, "Mira"),)
    assert told.bans == ((0, None), (1, "a/b"))
    assert told.dormant == (None,)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": " "}, ("title",)),
        ({"title": "x" * 201}, ("title",)),
        ({"size": (62, 64)}, ("size",)),
        ({"size": (64, 4098)}, ("size",)),
        ({"size": (65, 64)}, ("size",)),
        ({"fps": 0.0}, ("fps",)),
        ({"fps": float("nan")}, ("fps",)),
        ({"fps": 61.0}, ("fps",)),
        ({"seed": -1}, ("seed",)),
        ({"seed": 2**63}, ("seed",)),
        ({"shots": (Shot(id="a", caption="x"), Shot(id="a", caption="y"))}, ("shots",)),
        ({"shots": tuple(Shot(id=str(i), caption="x") for i in range(501))}, ("shots",)),
        ({"cast": tuple(CastMember(name=str(i)) for i in range(65))}, ("cast",)),
        ({"cast": (CastMember(name="Mira"), CastMember(name="MIRA"))}, ("cast", 1, "name")),
        ({"cast": (CastMember(name="Mira"), CastMember(name="(Mira)"))}, ("cast", 1, "name")),
    ],
)
def test_a_broken_rule_names_its_field(change: dict[str, object], field: tuple[object, ...]) -> None:
    with pytest.raises(BadStoryboard) as caught:
        replace(board("one"), **change)  # type: ignore[arg-type]
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("shots", "field"),
    [
        ((), ("shots",)),
        ((Shot(id="a", caption="x", skip=True),), ("shots",)),
        ((Shot(id="a", caption="x"), Shot(id="b", caption="")), ("shots", 1, "caption")),
    ],
)
def test_what_may_be_written_but_not_rendered(shots: tuple[Shot, ...], field: tuple[object, ...]) -> None:
    unfinished = replace(board("one"), shots=shots)
    with pytest.raises(BadStoryboard) as caught:
        check_ready(unfinished)
    assert caught.value.field == field
    check_ready(board("one"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"caption": "  \n"}, "caption"),
        ({"caption": "a\x00b"}, "caption"),
        ({"caption": "a\x9bb"}, "caption"),
        ({"trim": -0.1}, "trim"),
        ({"trim": 58.0, "seconds": 3.0}, "trim"),
        ({"caption": "a\ud800b"}, "caption"),
        ({"caption": "x" * 2001}, "caption"),
        ({"seconds": 0.4}, "seconds"),
        ({"seconds": 60.1}, "seconds"),
        ({"seconds": float("inf")}, "seconds"),
        ({"seconds": -3.0}, "seconds"),
        ({"seed": -1}, "seed"),
        ({"pins": ("a",), "bans": ("a",)}, "bans"),
        ({"bans": ("a",), "boosts": {"a": 1.0}}, "boosts"),
        ({"boosts": {"a": float("nan")}}, "boosts"),
        ({"boosts": {"a": 1e9}}, "boosts"),
    ],
)
def test_a_broken_shot_names_its_field(change: dict[str, object], field: str) -> None:
    with pytest.raises(BadStoryboard) as caught:
        replace(Shot(id="s", caption="x"), **change)  # type: ignore[arg-type]
    assert caught.value.field[0] == field


@pytest.mark.parametrize(
    "name", ["", "  ", "!!!", "_", "x" * 41, "a\x07", "a\x85", "\ud83d", "mira's", "Mira’s"]
)
def test_a_name_must_be_sayable(name: str) -> None:
    with pytest.raises(BadStoryboard):
        CastMember(name=name)


@given(st.integers(0, 10**9 - 1), st.integers(0, 10**9 - 1), st.sampled_from("xX×"))
def test_sizes_are_read(width: int, height: int, sign: str) -> None:
    assert parse_size(f" {width} {sign} {height} ") == (width, height)


@pytest.mark.parametrize("text", ["", "1280", "1280x", "x720", "1280x720x3", "-1x5", "1e3x5", "٣x٤ x"])
def test_other_texts_are_no_sizes(text: str) -> None:
    with pytest.raises(BadStoryboard, match="WIDTHxHEIGHT"):
        parse_size(text)
