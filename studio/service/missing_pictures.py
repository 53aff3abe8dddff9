"""Pictures that a storyboard names and the studio does not have, in words."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from studio.domain.edits.shots_by_id import shots_in_words
from studio.domain.messages import message
from studio.domain.picture_name import picture_name
from studio.domain.project import Project


def missing_pictures(project: Project, kept: Collection[str]) -> Mapping[str, str]:
    """What to say of each picture that is missing, by its name; `kept` are the digests of the others."""
    board = project.board
    shots: dict[str, list[str]] = {}
    for shot in board.shots:
        if shot.first_frame is not None and _is_missing(shot.first_frame, kept):
            shots.setdefault(shot.first_frame, []).append(shot.id)
    words = {
        picture: [str(message("first-frame-missing", shots=shots_in_words(project, ids)))]
        for picture, ids in shots.items()
    }
    for member in board.cast:
        if member.picture is not None and _is_missing(member.picture, kept):
            said = str(message("reference-gone", name=member.name))
            words.setdefault(member.picture, []).append(said)
    return {picture: "; ".join(said) for picture, said in words.items()}


def _is_missing(text: str, kept: Collection[str]) -> bool:
    named = picture_name(text)
    return named is not None and (named.kind == "file" or named.name not in kept)
