import pytest
from hypothesis import given
from hypothesis import strategies as st

from moc_engine.models.animatic.grammar import CAST_TOKENS, canonical_words, normalise, read
from moc_engine.models.animatic.lexicon import KINDS


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("Mira strolls to the right on the seaside, close-up", "<cast1> walk right beach , closeup"),
        ("OTTO’S kite falls over", "<cast2> kite fall"),
        ("Captain Bo is painted green", "<cast3> painted green"),
        ("Mira puts on a top hat!", "<cast1> gains hat ."),
        ("the camera zooms in at dusk", "zoom_in sunset"),
        ("", ""),
        ("...", ". . ."),
    ],
)
def test_folding(caption: str, expected: str) -> None:
    assert normalise(caption, ("Mira", "Otto", "Captain Bo")) == expected


def test_a_name_takes_precedence_over_a_word() -> None:
    assert normalise("Rose jumps", ("Rose",)) == "<cast1> jump"
    assert normalise("Rose jumps") == "flower jump"


def test_the_longest_phrase_takes_precedence() -> None:
    assert normalise("Mira turns around", ("Mira",)) == "<cast1> spin"
    assert normalise("Mira turns green", ("Mira",)) == "<cast1> painted green"


def test_every_phrase_has_one_meaning() -> None:
    meanings: dict[str, str] = {}
    for kind, entries in KINDS.items():
        for canonical, phrases in entries.items():
            for phrase in phrases:
                assert meanings.setdefault(phrase, f"{kind}: {canonical}") == f"{kind}: {canonical}"


def test_every_phrase_is_read_as_its_canonical_word() -> None:
    for entries in KINDS.values():
        for canonical, phrases in entries.items():
            for phrase in phrases:
                assert normalise(phrase) == canonical, phrase


@given(st.text(max_size=80))
def test_words_of_any_text_are_in_order_without_overlap(caption: str) -> None:
    last = 0
    for word in read(caption, ("Mira",)):
        assert last <= word.start < word.end <= len(caption)
        assert caption[word.start : word.end] == word.text
        assert word.meaning in (None, "") or word.meaning in canonical_words()
        last = word.end


def test_canonical_words_are_distinct_and_include_cast_tokens() -> None:
    words = canonical_words()
    assert len(set(words)) == len(words)
    assert words[: len(CAST_TOKENS)] == CAST_TOKENS
