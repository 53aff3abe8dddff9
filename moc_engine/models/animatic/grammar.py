"""A caption as the text encoder reads it: names become cast tokens, synonyms fold, fillers go.

"Mira strolls to the right on the seaside, close-up"  ->  "<cast1> walk right beach , closeup"
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from moc_engine.models.animatic.lexicon import FILLERS, KINDS
from moc_engine.models.animatic.scene import CAST_SIZE

CAST_TOKENS: Final = tuple(f"<cast{i + 1}>" for i in range(CAST_SIZE))

_WORD = re.compile(r"[^\W_]+(?:[-’'][^\W_]+)*|[,;:.!?&]")
_POSSESSIVE = re.compile(r"[’']s?$")


@dataclass(frozen=True)
class Word:
    """A word of a caption: where it stands, and the canonical word it means (None: unknown)."""

    text: str
    start: int
    end: int
    meaning: str | None


@cache
def _phrases() -> dict[tuple[str, ...], str]:
    """Every known phrase, as its lower-case words, to its canonical word."""
    known: dict[tuple[str, ...], str] = {}
    for words in KINDS.values():
        for canonical, phrases in words.items():
            for phrase in phrases:
                known.setdefault(tuple(_fold(w) for w in _WORD.findall(phrase)), canonical)
    for filler in FILLERS:
        known.setdefault((filler,), "")
    return known


@cache
def _longest() -> int:
    return max(len(p) for p in _phrases())


def _fold(word: str) -> str:
    return _POSSESSIVE.sub("", word.casefold().replace("’", "'"))


def read(caption: str, cast: Sequence[str] = ()) -> Iterator[Word]:
    """The caption's words in order; a phrase or a name of several words comes as one.

    A name of the cast wins over a known word, the longer phrase over the shorter. `meaning` is ""
    for a filler.
    """
    tokens = [(m.group(), m.start(), m.end()) for m in _WORD.finditer(caption)]
    folded = [_fold(text) for text, _, _ in tokens]
    names = {tuple(_fold(w) for w in _WORD.findall(name)): i for i, name in enumerate(cast)}
    span = max([_longest(), *(len(n) for n in names)])
    at = 0
    while at < len(tokens):
        for size in range(min(span, len(tokens) - at), 0, -1):
            phrase = tuple(folded[at : at + size])
            if phrase in names:
                meaning: str | None = CAST_TOKENS[names[phrase] % CAST_SIZE]
            else:
                meaning = _phrases().get(phrase)
            if meaning is not None:
                break
        else:
            size, meaning = 1, None
        start, end = tokens[at][1], tokens[at + size - 1][2]
        yield Word(caption[start:end], start, end, meaning)
        at += size


def normalise(caption: str, cast: Sequence[str] = ()) -> str:
    """Canonical words, space-separated, for the tokenizer. Unknown words are left out."""
    return " ".join(w.meaning for w in read(caption, cast) if w.meaning)


def canonical_words() -> tuple[str, ...]:
    """Every word `normalise` can return, in a fixed order."""
    words = [w for kind in KINDS.values() for w in kind]
    return (*CAST_TOKENS, *dict.fromkeys(words))
