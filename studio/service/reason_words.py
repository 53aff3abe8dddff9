"""Reasons for a render in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, assert_never

from studio.domain.reasons import (
    AddedContext,
    ContextReason,
    OwnReason,
    OwnReasonCode,
    Reason,
    ReorderedContext,
)

_OWN: Final[Mapping[OwnReasonCode, str]] = {
    "unwritten": "no caption yet",
    "missing": "not rendered yet",
    "model": "model changed",
    "caption": "caption changed",
    "look": "a look in its caption changed",
    "style": "style changed",
    "cast": "cast changed",
    "longer": "longer than its take",
    "frame_rate": "frame rate changed",
    "size": "size changed",
    "seed": "seed changed",
    "steps": "steps changed",
    "guidance": "guidance changed",
    "top_k": "chunks per token changed",
    "steering": "steering changed",
}

_LEAST: Final = 0.005
"""The least share that is worth a figure."""


def in_words(reason: Reason) -> str:
    """A reason as shown beside its shot."""
    match reason:
        case OwnReason(code=code):
            return _OWN[code]
        case ContextReason():
            return f"{_what_became(reason)}; {_dependence(reason)}"
        case AddedContext(index=index):
            return f"{_shot(index)} is new before it"
        case ReorderedContext():
            return "the shots before it were moved"
        case _:
            assert_never(reason)


def _what_became(reason: ContextReason) -> str:
    shot = _shot(reason.index)
    match reason.code:
        case "new_take":
            return f"{shot} has a new take"
        case "deleted":
            return "a shot before it was deleted"
        case "skipped":
            return f"{shot} is skipped"
        case "moved_behind":
            return f"{shot} no longer comes before it"
        case "no_take":
            return f"{shot} has no take any more"
        case "due":
            return f"{shot} will be rendered again"
        case _:
            assert_never(reason.code)


def _dependence(reason: ContextReason) -> str:
    if max(reason.share, reason.part_share) < _LEAST:
        return "this shot hardly depends on it"
    part = f", {reason.part_share:.0%} of what {reason.part} drew on" if reason.part else ""
    return f"it gave {reason.share:.0%} of this shot's context{part}"


def _shot(index: int | None) -> str:
    return "a deleted shot" if index is None else f"shot {index + 1}"
