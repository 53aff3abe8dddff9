"""The pictures that a storyboard names: first frames of shots, and pictures of the cast."""

from __future__ import annotations

from collections.abc import Iterator

from moc_engine.names import mentioned
from studio.domain.picture_name import picture_name
from studio.domain.storyboard import Storyboard


def references(board: Storyboard, index: int) -> dict[str, str]:
    """The pictures of the cast members that the caption of the shot at `index` names, by their names, in the
    order of the cast.
    """
    named = mentioned(board.shots[index].caption, board.names)
    return {
        member.name: member.picture
        for nth, member in enumerate(board.cast)
        if nth in named and member.picture is not None
    }


def picture_digests(board: Storyboard) -> tuple[str, ...]:
    """The digests of the pictures that the storyboard names, each once."""
    return tuple(dict.fromkeys(_digests(board)))


def _digests(board: Storyboard) -> Iterator[str]:
    texts = (*(shot.first_frame for shot in board.shots), *(member.picture for member in board.cast))
    for text in texts:
        named = None if text is None else picture_name(text)
        if named is not None and named.kind == "picture":
            yield named.name
