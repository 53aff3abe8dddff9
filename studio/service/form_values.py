"""What is typed into the fields of forms, read as settings; and settings as fields show them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from studio.domain.edits.cast import with_pictures_of
from studio.domain.errors import BadStoryboard
from studio.domain.frame_rate import rate_in_words
from studio.domain.messages import message
from studio.domain.storyboard import CastMember, Storyboard

FieldValue = bool | float | str


def shown(board: Storyboard) -> dict[str, FieldValue]:
    """The values of the fields by name."""
    settings = board.settings
    return {
        "title": board.title,
        "style": board.style,
        "size": f"{board.size[0]}x{board.size[1]}",
        "fps": rate_in_words(board.fps),
        "seed": str(board.seed),
        "cast": "\n".join(f"{m.name}: {m.look}" if m.look else m.name for m in board.cast),
        "model": settings.model or "",
        "steps": _number_shown(settings.steps),
        "guidance": _number_shown(settings.guidance),
        "top_k": _number_shown(settings.top_k),
        "full_below": "" if settings.full_below is None else str(settings.full_below),
        "rerender_threshold": settings.rerender_threshold,
        "looks": settings.looks,
        "negative_prompt": settings.negative_prompt or "",
        "no_negative_prompt": settings.negative_prompt == "",
        "scheduler": settings.scheduler or "",
        "shift": _number_shown(settings.shift),
        "guidance_2": _number_shown(settings.guidance_2),
        "step_cache": settings.step_cache or "",
        "memory_policy": settings.memory_policy or "",
        "keyframes": _number_shown(settings.keyframes),
        "memory_storage": settings.memory_storage or "",
        "positions": settings.positions or "",
        "router": settings.router or "",
        "context": settings.context,
        "draft_model": settings.draft_model or "",
    }


def _number_shown(number: float | None) -> str:
    """As the page writes numbers: the shortest form that is exact."""
    if number is None:
        return ""
    return str(int(number)) if number == int(number) else repr(float(number))


def cast_of(text: str, board: Storyboard) -> tuple[CastMember, ...]:
    """The cast that lines of the form "name: look" describe, with the pictures that members of the storyboard
    have. Raises `BadStoryboard` with the number of the line.
    """
    members = []
    for at, line in enumerate(text.splitlines(), start=1):
        name, _, look = (part.strip() for part in line.partition(":"))
        if not (name or look):
            continue
        try:
            members.append(CastMember(name=name, look=look or None))
        except BadStoryboard as error:
            raise BadStoryboard(
                message("line-invalid", line=at, problem=error.message), error.field
            ) from error
    return with_pictures_of(board.cast, tuple(members))


def negative_prompt_of(typed: Any, board: Storyboard) -> str | None:
    """The negative prompt that was typed; of an empty field the model's own, or none where there was none."""
    return text(typed or "") or ("" if board.settings.negative_prompt == "" else None)


def text(value: Any) -> str:
    """A text without space around it."""
    return str(value).strip()


def number(name: str) -> Callable[[Any], float]:
    """Reads a number, whose decimals may follow a comma. Raises `BadStoryboard` about the named field."""

    def read(value: Any) -> float:
        typed = str(value).strip().replace(",", ".")
        try:
            found = float(typed)
        except ValueError:
            found = math.nan
        if not math.isfinite(found):
            wrong = message("not-a-number", text=str(value)) if typed else message("empty")
            raise BadStoryboard(wrong, (name,))
        return found

    return read


def whole(name: str) -> Callable[[Any], int]:
    """Reads a whole number, exactly however large. Raises `BadStoryboard` about the named field."""

    def read(value: Any) -> int:
        typed, found = str(value).strip(), number(name)(value)
        if found != int(found):
            raise BadStoryboard(message("not-whole", text=f"{found:g}"), (name,))
        return int(typed) if typed.lstrip("+-").isdigit() else int(found)

    return read
