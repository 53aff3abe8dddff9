"""What a shot starts with: the last frame of an earlier shot, or a picture.

As text: "previous", "shot:ID", "picture:DIGEST" of a picture that the studio keeps, or "file:PATH" of one
that it does not have yet, as a storyboard file names it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from studio.domain.errors import BadStoryboard
from studio.domain.messages import message

PREVIOUS: Final = "previous"

_FORM: Final = re.compile(
    r"previous|shot:[\w-]{1,64}|picture:[0-9a-f]{64}|file:[^\x00-\x1f]{1,1000}", re.ASCII
)


@dataclass(frozen=True, kw_only=True)
class FirstFrame:
    """A first frame by its kind; `name` is a shot's id, a picture's digest or a path."""

    kind: Literal["previous", "shot", "picture", "file"]
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


def first_frame(text: str) -> FirstFrame:
    """Reads the text of a first frame. Raises `BadStoryboard`."""
    if not _FORM.fullmatch(text.encode("ascii", "replace").decode()):
        raise BadStoryboard(message("first-frame-unreadable", text=text), ("first_frame",))
    kind, _, name = text.partition(":")
    return FirstFrame(kind=kind, name=name)  # type: ignore[arg-type]
