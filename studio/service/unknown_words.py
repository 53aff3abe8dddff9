"""Finds the words that the embedded model does not know: none is dropped silently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from moc_engine.vocabulary import nearest_word, unknown_words
from studio.domain.errors import StoryField
from studio.domain.storyboard import Storyboard


@dataclass(frozen=True, kw_only=True)
class UnknownWord:
    """A word at `start` to `end` of the text in a field; `suggestion` is a known one like it, if there is."""

    field: StoryField
    text: str
    word: str
    start: int
    end: int
    suggestion: str | None = None


def find_unknown_words(board: Storyboard) -> Iterator[UnknownWord]:
    """The unknown words of the style, the looks and the shots that are not skipped."""
    for field, text in _texts(board):
        for word, start, end in unknown_words(text, board.names):
            meant = nearest_word(word)
            yield UnknownWord(field=field, text=text, word=word, start=start, end=end, suggestion=meant)


def _texts(board: Storyboard) -> Iterator[tuple[StoryField, str]]:
    yield ("style",), board.style
    for index, member in enumerate(board.cast):
        yield ("cast", index, "look"), member.look or ""
    for index, shot in enumerate(board.shots):
        if not shot.skip:
            yield ("shots", index, "caption"), shot.caption
