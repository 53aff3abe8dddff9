"""Pictures that a storyboard names, as text.

"picture:DIGEST" is one that the studio keeps, "file:PATH" one that it does not have yet, as a storyboard file
names it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from studio.domain.errors import BadStoryboard
from studio.domain.messages import message

_FORM: Final = re.compile(r"picture:[0-9a-f]{64}|file:[^\x00-\x1f]{1,1000}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class PictureName:
    """A picture by its kind; `name` is its digest or its path."""

    kind: Literal["picture", "file"]
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


def picture_name(text: str) -> PictureName | None:
    """Reads the name of a picture; None for any other text."""
    if not _FORM.fullmatch(text.encode("ascii", "replace").decode()):
        return None
    kind, _, name = text.partition(":")
    return PictureName(kind=kind, name=name)  # type: ignore[arg-type]


def check_picture(text: str, field: str) -> None:
    """Raises `BadStoryboard` for a text that names no picture."""
    if picture_name(text) is None:
        raise BadStoryboard(message("picture-name-unreadable", text=text), (field,))
