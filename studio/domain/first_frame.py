"""What a shot starts with: the last frame of an earlier shot, or a picture.

As text: "previous", "shot:ID", or a picture by its name (`picture_name.py`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from studio.domain.errors import BadStoryboard
from studio.domain.messages import message
from studio.domain.picture_name import picture_name

PREVIOUS: Final = "previous"

_FORM: Final = re.compile(r"previous|shot:[\w-]{1,64}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class FirstFrame:
    """A first frame by its kind; `name` is a shot's id, a picture's digest or a path."""

    kind: Literal["previous", "shot", "picture", "file"]
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.name else self.kind


def first_frame(text: str) -> FirstFrame:
    """Reads the text of a first frame. Raises `BadStoryboard`."""
    if picture_name(text) is None and not _FORM.fullmatch(text):
        raise BadStoryboard(message("first-frame-unreadable", text=text), ("first_frame",))
    kind, _, name = text.partition(":")
    return FirstFrame(kind=kind, name=name)  # type: ignore[arg-type]
