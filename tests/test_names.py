"""Names are found in captions of every script, by the engine and by the studio alike."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moc_engine.models.animatic.grammar import normalise
from moc_engine.names import find_mentions, longest_mentions, mentioned
from studio.domain.edits.cast import SetCast
from studio.domain.edits.shot_inputs import SetCaption
from studio.domain.inputs import RenderingModel, inputs_of
from studio.domain.storyboard import CastMember, Shot, Storyboard, compose_captions
from studio.exchange.yaml_reader import parse_storyboard
from tests.fakes.projects import project

NAMED = {
    "a word": ("Mira walks", "Mira"),
    "in capitals": ("MIRA WALKS", "Mira"),
    "with an ending": ("Mira’s hat", "Mira"),
    "of several words": ("Then Mary Ann waves", "Mary Ann"),
    "with an accent": ("Élodie court", "Élodie"),
    "with an accent as two characters": (unicodedata.normalize("NFD", "Élodie court"), "Élodie"),
    "German": ("STRASSE", "Straße"),
    "Chinese": ("小红在海边走路", "小红"),
    "Chinese, in the middle": ("今天小红走路", "小红"),
    "Japanese": ("ミラが浜辺を歩く", "ミラ"),
    "Japanese, in hiragana": ("さくらが歩く", "さくら"),
    "Korean with a particle": ("미라가 해변을 걷는다", "미라"),
    "Korean with two particles": ("미라에게는 모자가 있다", "미라"),
    "Korean as several characters": (unicodedata.normalize("NFD", "미라가 걷는다"), "미라"),
    "a Latin name in Korean": ("Mira가 걷는다", "Mira"),
    "a Latin name in Chinese": ("Mira在海边走路", "Mira"),
    "Thai": ("วันนี้มิร่าเดินบนชายหาด", "มิร่า"),
    "Arabic": ("ميرا تمشي", "ميرا"),
    "Arabic with and": ("أحمد وميرا", "ميرا"),
    "Arabic with to": ("قال لميرا", "ميرا"),
    "Arabic with vowel signs": ("مِيرا تمشي", "ميرا"),
    "Hebrew with and": ("ומירה הולכת", "מירה"),
    "Hindi": ("मीरा चलती है", "मीरा"),
}

NOT_NAMED = {
    "part of a Latin word": ("Miranda walks", "Mira"),
    "part of a Korean word": ("미라클이 온다", "미라"),
    "part of a word in katakana": ("ミラノへ行く", "ミラ"),
    "part of an Arabic word": ("أميرا تمشي", "ميرا"),
    "other vowels in Hindi": ("मारी चलती है", "मीरा"),
    "a longer Hindi name": ("मीरा चलती है", "मीर"),
    "a Thai vowel written before": ("เมิร่า", "มิร่า"),
    "nothing": ("", "Mira"),
}


@pytest.mark.parametrize(("caption", "name"), NAMED.values(), ids=NAMED.keys())
def test_a_name_is_found(caption: str, name: str) -> None:
    """For the look, for the places that steering and ids go by, and for what the models read."""
    board = Storyboard(
        title="x", cast=(CastMember(name=name, look="red"),), shots=(Shot(id="a", caption=caption),)
    )
    (composed,) = compose_captions(board)
    assert composed.endswith(f"{board.cast[0].name} is red.")
    inputs = inputs_of(
        board, RenderingModel(identity="m"), 0, caption=board.shots[0].caption, context=(), seed=1
    )
    assert inputs.cast_indices == {board.cast[0].name: 0}
    assert "<cast1>" in normalise(caption, (name,)).split()


@pytest.mark.parametrize(("caption", "name"), NOT_NAMED.values(), ids=NOT_NAMED.keys())
def test_what_only_looks_like_a_name_is_not_one(caption: str, name: str) -> None:
    assert not mentioned(caption, (name,))
    assert "<cast1>" not in normalise(caption, (name,)).split()


def test_a_name_within_a_longer_one() -> None:
    assert mentioned("小红帽在走路", ("小红", "小红帽")) == {1}
    assert mentioned("Mary Ann waves", ("Mary", "Mary Ann")) == {0, 1}
    assert [m.name for m in longest_mentions("Mary Ann waves at Mary", ("Mary", "Mary Ann"))] == [1, 0]


def test_mentions_say_where_they_are() -> None:
    caption = unicodedata.normalize("NFD", "Puis Élodie’s ami")
    (found,) = find_mentions(caption, ("Élodie",))
    assert unicodedata.normalize("NFC", caption[found.start : found.end]) == "Élodie"


@given(st.text(), st.lists(st.text(min_size=1), max_size=4))
def test_any_text_can_be_searched(text: str, names: list[str]) -> None:
    for mention in find_mentions(text, names):
        assert 0 <= mention.start < mention.end <= len(text)
    kept = longest_mentions(text, names)
    assert all(a.end <= b.start for a, b in pairwise(kept))


def test_text_is_composed_at_every_door() -> None:
    """In whichever form letters and accents come, they are kept as one character."""
    apart, together = unicodedata.normalize("NFD", "Élodie court"), "Élodie court"
    name = apart[:7]
    text = f"title: x\ncast: [{{name: {name}}}]\nshots: [{{caption: {apart}}}]"
    read = parse_storyboard(text, "x.yaml")
    assert (read.cast[0].name, read.shots[0].caption) == ("Élodie", together)
    start = project("x")
    assert SetCaption(shot="a", caption=apart).apply(start, {}).board.shots[0].caption == together
    cast = SetCast(cast=(CastMember(name=name, look=apart),)).apply(start, {}).board.cast
    assert (cast[0].name, cast[0].look) == ("Élodie", together)
    shot = Shot(id="a", caption="x", pins=(f"b/{name}",), boosts={f"c/{name}": 1.0})
    assert (shot.pins, dict(shot.boosts)) == (("b/Élodie",), {"c/Élodie": 1.0})
