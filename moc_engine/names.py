"""Finds names in captions, in every script.

A name counts where it stands as words of its own, in any case, also as "Mira's". Where a script writes no
spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese), joins particles to the word (Korean) or prefixes
(Arabic, Hebrew), it also counts inside a longer run of letters. Letters and their accents may be written
as one character or as several.

The standard library alone: the studio's domain imports this module too.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final


@dataclass(frozen=True)
class Mention:
    """Name number `name` stands at text[start:end]; `whole` if it stands there as words of its own."""

    name: int
    start: int
    end: int
    whole: bool


def find_mentions(text: str, names: Sequence[str]) -> tuple[Mention, ...]:
    """Where a text mentions which of the names, in the order of the text.

    A name within words that are themselves a mention counts only as words of its own: "Mira" counts in
    "Mira Lou", but 小红 does not in a mention of 小红帽.
    """
    return _mentions(text, tuple(names))


def mentioned(text: str, names: Sequence[str]) -> frozenset[int]:
    """The numbers of the names that a text mentions."""
    return frozenset(mention.name for mention in find_mentions(text, names))


def longest_mentions(text: str, names: Sequence[str]) -> tuple[Mention, ...]:
    """The mentions that do not overlap, the longest first; in "Mira Lou" that is Mira Lou alone."""
    kept: list[Mention] = []
    for mention in sorted(
        find_mentions(text, names), key=lambda found: (found.start - found.end, found.start)
    ):
        if all(mention.end <= other.start or other.end <= mention.start for other in kept):
            kept.append(mention)
    return tuple(sorted(kept, key=lambda found: found.start))


def words_of(text: str) -> tuple[str, ...]:
    """The words by which names are compared: in lower case, without possessive endings."""
    return tuple(word for word, _, _ in _folded(text).words)


@dataclass(frozen=True)
class _Folded:
    """A text as it is compared; `offsets` holds where each character began in the text, and its length."""

    text: str
    offsets: tuple[int, ...]
    words: tuple[tuple[str, int, int], ...]


_POSSESSIVE: Final = re.compile(r"[’']s?(?![^\W_])")
_JAMO: Final = range(0x1160, 0x1200)
"""Vowels and final consonants of Korean syllables that are written as several characters."""

_ARABIC_MARKS: Final = frozenset("ـ" + "".join(map(chr, range(0x64B, 0x660))) + "\u0670")
"""The lengthening stroke and vowel signs, which most texts leave out."""

_RANGES: Final = (
    (0x0590, "hebrew"), (0x0600, "arabic"), (0x0780, ""), (0x0E00, "thai"), (0x0E80, "lao"), (0x0F00, ""),
    (0x1000, "burmese"), (0x10A0, ""), (0x1780, "khmer"), (0x1800, ""), (0x2E80, "han"), (0x2FE0, ""),
    (0x3005, "han"), (0x3008, ""), (0x3041, "hiragana"), (0x30A0, "katakana"), (0x3100, ""),
    (0x31F0, "katakana"), (0x3200, ""), (0x3400, "han"), (0x4DC0, ""), (0x4E00, "han"), (0xA000, ""),
    (0xA9E0, "burmese"), (0xAA00, ""), (0xAC00, "hangul"), (0xD7B0, ""), (0xF900, "han"), (0xFB00, ""),
    (0xFB1D, "hebrew"), (0xFB50, "arabic"), (0xFE00, ""), (0xFE70, "arabic"), (0xFF00, ""),
    (0xFF66, "katakana"), (0xFFA0, ""), (0x20000, "han"), (0x32000, ""),
)  # fmt: skip
_STARTS: Final = tuple(start for start, _ in _RANGES)
_UNSPACED: Final = frozenset({"han", "hiragana", "katakana", "thai", "lao", "khmer", "burmese"})
_FREE: Final = _UNSPACED - {"katakana"}
"""Scripts in which a name may follow, or be followed by, letters of the same script."""

_VOWELS_BEFORE: Final = frozenset("เแโใไເແໂໃໄ")
"""Thai and Lao vowels that are written before the consonant they belong to."""

_PREFIXES: Final = {
    "arabic": re.compile("[وف]?[بلك]?"),
    "hebrew": re.compile("ו?[שהבלכמ]{0,2}"),
}
"""And, so, with, for, like; and, that, the, in, to, as, from."""

_PARTICLES: Final = re.compile(
    "(?:이|가|은|는|을|를|의|에|에게|에게서|에서|께|께서|한테|한테서|와|과|랑|이랑|하고|도|만|로|으로|부터|까지|처럼|보다|마다|조차|"
    "마저|밖에|나|이나|라도|이라도|라는|이라는|라고|이라고|야|아|님|씨|네|들){1,4}"
)


@lru_cache(maxsize=8192)
def _mentions(text: str, names: tuple[str, ...]) -> tuple[Mention, ...]:
    folded = _folded(text)
    found: list[Mention] = []
    for number, name in enumerate(names):
        spans = _whole(folded, name)
        whole = set(spans)
        spans += [span for span in _joined(folded, name) if span not in whole]
        offsets = folded.offsets
        found += [Mention(number, offsets[a], offsets[b], (a, b) in whole) for a, b in spans]
    kept = [
        one
        for one in found
        if one.whole
        or not any(
            other.name != one.name and other.start <= one.start and one.end <= other.end
            and other.end - other.start > one.end - one.start
            for other in found
        )
    ]  # fmt: skip
    return tuple(sorted(kept, key=lambda mention: (mention.start, mention.end, mention.name)))


def _whole(text: _Folded, name: str) -> list[tuple[int, int]]:
    """Where the words of a name follow each other among the words of a text."""
    wanted, words = words_of(name), text.words
    size = len(wanted)
    return [
        (words[at][1], words[at + size - 1][2])
        for at in range(len(words) - size + 1)
        if size and all(words[at + nth][0] == word for nth, word in enumerate(wanted))
    ]


def _joined(text: _Folded, name: str) -> list[tuple[int, int]]:
    """Where a name stands inside a longer run of letters, as its script allows."""
    wanted = " ".join(_folded(name).text.split())
    found: list[tuple[int, int]] = []
    at = text.text.find(wanted) if wanted else -1
    while at >= 0:
        end = at + len(wanted)
        if _may_begin(text.text, at) and _may_end(text.text, end):
            found.append((at, end))
        at = text.text.find(wanted, at + 1)
    return found


def _may_begin(text: str, at: int) -> bool:
    if at == 0 or not _is_letter(text[at - 1]):
        return True
    if text[at - 1] in _VOWELS_BEFORE:
        return False
    if _apart(text[at - 1], text[at]):
        return True
    prefixes = _PREFIXES.get(_script(text[at]))
    start = at
    while start and _is_letter(text[start - 1]):
        start -= 1
    return prefixes is not None and prefixes.fullmatch(text, start, at) is not None


def _may_end(text: str, end: int) -> bool:
    if end == len(text) or not _is_letter(text[end]):
        return True
    if unicodedata.category(text[end])[0] == "M":
        return False
    stop = end
    while stop < len(text) and _is_letter(text[stop]):
        stop += 1
    if _script(text[end]) == "hangul":
        return _PARTICLES.fullmatch(text, end, stop) is not None
    return _apart(text[end - 1], text[end])


def _apart(before: str, after: str) -> bool:
    """Whether a word may end between two letters without a space."""
    first, second = _script(before), _script(after)
    if first == second:
        return first in _FREE and unicodedata.category(after)[0] != "M"
    return first in _UNSPACED or second in _UNSPACED


def _is_letter(character: str) -> bool:
    return character.isalnum() or unicodedata.category(character)[0] == "M"


def _script(character: str) -> str:
    nth = bisect_right(_STARTS, ord(character))
    return _RANGES[nth - 1][1] if nth else ""


@lru_cache(maxsize=8192)
def _folded(text: str) -> _Folded:
    letters: list[str] = []
    offsets: list[int] = []
    at = 0
    while at < len(text):
        end = at + 1
        while end < len(text) and (unicodedata.category(text[end])[0] == "M" or ord(text[end]) in _JAMO):
            end += 1
        composed = unicodedata.normalize("NFC", text[at:end]).casefold()
        kept = [c for c in composed if c not in _ARABIC_MARKS and unicodedata.category(c) != "Cf"]
        letters += kept
        offsets += [at] * len(kept)
        at = end
    folded = "".join(letters)
    plain = _POSSESSIVE.sub(lambda found: " " * len(found[0]), folded)
    return _Folded(folded, (*offsets, len(text)), tuple(_split(plain)))


def _split(text: str) -> list[tuple[str, int, int]]:
    words: list[tuple[str, int, int]] = []
    start: int | None = None
    for at in range(len(text) + 1):
        if at < len(text) and _is_letter(text[at]):
            start = at if start is None else start
        elif start is not None:
            words.append((text[start:at], start, at))
            start = None
    return words
