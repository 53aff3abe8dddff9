"""The vocabulary of the animatic model: known and unknown words, and names in captions. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from functools import cache, lru_cache

from moc_engine.models.animatic.description import look_sentences
from moc_engine.models.animatic.grammar import CAST_TOKENS, canonical_words, read
from moc_engine.models.animatic.lexicon import KINDS
from moc_engine.models.animatic.scene import CAST_SIZE, CHARACTER_SLOTS, Array

WORDS = canonical_words()
"""The words of the tokenizer, without its special tokens."""

CHARACTERS_PER_SHOT = len(CHARACTER_SLOTS)
"""How many characters one shot can show."""

LARGEST_CAST = CAST_SIZE
"""How many cast members the model tells apart: it has so many tokens for them."""

LONGEST_NAME = 40
"""Longer capitalised words are not taken for names."""


def words() -> dict[str, dict[str, tuple[str, ...]]]:
    """kind -> canonical word -> every word and phrase that means it."""
    return {kind: dict(entries) for kind, entries in KINDS.items()}


def unknown_words(caption: str, cast: Sequence[str] = ()) -> list[tuple[str, int, int]]:
    """The words that the model does not know, each with its start and end in the caption."""
    return [(w.text, w.start, w.end) for w in read(caption, cast) if w.meaning is None]


@lru_cache(maxsize=4096)
def nearest_word(word: str) -> str | None:
    """The known word that is spelt most like `word`, if one is similar."""
    close = get_close_matches(word.casefold(), _known(), n=1, cutoff=0.8)
    return close[0] if close else None


@cache
def _known() -> tuple[str, ...]:
    return tuple(
        dict.fromkeys(text for kind in KINDS.values() for phrases in kind.values() for text in phrases)
    )


def find_names(captions: Iterable[str]) -> tuple[str, ...]:
    """Capitalised unknown words in order of appearance: the cast of a storyboard that lists none.

    At most as many as the model has cast tokens; later ones stay unknown words.
    """
    names: dict[str, str] = {}
    for caption in captions:
        for text, _, _ in unknown_words(caption):
            name = text.removesuffix("'s").removesuffix("’s")
            if name[:1].isupper() and len(name) <= LONGEST_NAME:
                names.setdefault(name.casefold(), name)
    return tuple(names.values())[:CAST_SIZE]


def described_cast(caption: str, cast: Sequence[str]) -> tuple[str, ...]:
    """The cast members whose look a caption describes: a shape, a colour, an accessory, or a change of these.

    A word describes the name before it, up to the end of the sentence or a set, or a name that follows
    directly; colours before a prop or set describe that.
    """
    found: dict[str, None] = {}
    subject: str | None = None
    words = [word.meaning for word in read(caption, cast) if word.meaning]
    names = dict(zip(CAST_TOKENS, cast, strict=False))
    for nth, meaning in enumerate(words):
        if meaning in names:
            subject = names[meaning]
        elif meaning == "." or meaning in KINDS["set"]:
            subject = None
        elif any(meaning in KINDS[kind] for kind in ("shape", "accessory", "event", "colour")):
            after = _described(words[nth + 1 :])
            whose = names.get(after or "", subject)
            of_thing = meaning not in KINDS["event"] and (after in KINDS["prop"] or after in KINDS["set"])
            if whose is not None and not of_thing:
                found[whose] = None
    return tuple(found)


def describe(latents_CFS1: Array, caption: str, cast: Sequence[str]) -> tuple[str, ...]:
    """Sentences about the looks and the set in a finished shot that its caption does not tell."""
    return look_sentences(
        latents_CFS1,
        cast,
        told=described_cast(caption, cast),
        with_set=not any(word.meaning in KINDS["set"] for word in read(caption, cast)),
    )


def _described(words: Sequence[str]) -> str | None:
    """The first word after a run of shapes and colours such as "red and blue"."""
    looks = {*KINDS["colour"], *KINDS["shape"]}
    for nth, word in enumerate(words):
        joins = word == "and" and looks.intersection(words[nth + 1 : nth + 2])
        if word not in looks and not joins:
            return word
    return None
