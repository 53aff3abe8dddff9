"""Normalises captions for the text encoder: names become cast tokens, synonyms are folded, fillers dropped.

"Mira strolls to the right on the seaside, close-up"  ->  "<cast1> walk right beach , closeup"
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from moc_engine.models.animatic.lexicon import FILLERS, KINDS
from moc_engine.models.animatic.scene import CAST_SIZE
from moc_engine.names import longest_mentions

CAST_TOKENS: Final = tuple(f"<cast{i + 1}>" for i in range(CAST_SIZE))

_MARKS: Final = "".join(chr(c) for c in range(0x0300, 0xFE30) if unicodedata.category(chr(c)).startswith("M"))
"""Accents and vowel signs, which Python's \\w leaves out."""

_LETTERS: Final = rf"(?:[^\W_][{_MARKS}]*)+"
_WORD = re.compile(rf"{_LETTERS}(?:[-’']{_LETTERS})*|[,;:.!?&]")
_POSSESSIVE = re.compile(r"[’']s?$")
_POSSESSIVE_ENDING = re.compile(r"[’']s(?![^\W_])")


@dataclass(frozen=True)
class Word:
    """A word of a caption: its position and its canonical word (None: unknown)."""

    text: str
    start: int
    end: int
    meaning: str | None


@cache
def _phrases() -> dict[tuple[str, ...], str]:
    """The canonical word of every known phrase, by its lower-case words."""
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
    """Yields the caption's words in order; a phrase or a name of several words is one.

    Names of the cast take precedence over known words, longer phrases over shorter ones. `meaning` is ""
    for a filler.
    """
    tokens, names = _tokens(caption, cast)
    folded = [_fold(text) for text, _, _ in tokens]
    span = max([_longest(), *(size for size, _ in names.values())])
    at = 0
    while at < len(tokens):
        name_size, name = names.get(at, (0, ""))
        for size in range(min(span, len(tokens) - at), 0, -1):
            meaning: str | None = name if size == name_size else _phrases().get(tuple(folded[at : at + size]))
            if meaning is not None:
                break
        else:
            size, meaning = 1, None
        start, end = tokens[at][1], tokens[at + size - 1][2]
        yield Word(caption[start:end], start, end, meaning)
        at += size


_Token = tuple[str, int, int]
"""A piece of a caption with its start and end."""


def _tokens(caption: str, cast: Sequence[str]) -> tuple[list[_Token], dict[int, tuple[int, str]]]:
    """The pieces of a caption, and its names: index of the first piece -> (number of pieces, cast token).

    A piece that contains a name is split there, as in writing systems without spaces.
    """
    tokens: list[_Token] = []
    names: dict[int, tuple[int, str]] = {}
    read_to = 0
    for mention in longest_mentions(caption, cast):
        tokens += _pieces(caption, read_to, mention.start)
        end = mention.end
        if ending := _POSSESSIVE_ENDING.match(caption, end):
            end = ending.end()
        inside = _pieces(caption, mention.start, end)
        names[len(tokens)] = len(inside), CAST_TOKENS[mention.name % CAST_SIZE]
        tokens += inside
        read_to = end
    return [*tokens, *_pieces(caption, read_to, len(caption))], names


def _pieces(caption: str, start: int, end: int) -> list[_Token]:
    return [(found.group(), found.start(), found.end()) for found in _WORD.finditer(caption, start, end)]


def normalise(caption: str, cast: Sequence[str] = ()) -> str:
    """The canonical words of a caption for the tokenizer, space-separated, without unknown words."""
    return " ".join(w.meaning for w in read(caption, cast) if w.meaning)


def canonical_words() -> tuple[str, ...]:
    """All words that `normalise` can return, in a fixed order."""
    words = [w for kind in KINDS.values() for w in kind]
    return (*CAST_TOKENS, *dict.fromkeys(words))
