"""Reasons for a render as messages, and in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, assert_never

from studio.domain.messages import Message, message
from studio.domain.reasons import (
    AddedContext,
    ContextReason,
    FirstFrameReason,
    OwnReason,
    OwnReasonCode,
    Reason,
    ReferenceReason,
    ReorderedContext,
)

_OWN: Final[Mapping[OwnReasonCode, Message]] = {
    "unwritten": message("reason-no-caption"),
    "missing": message("reason-not-rendered"),
    "model": message("reason-model"),
    "caption": message("reason-caption"),
    "look": message("reason-look"),
    "style": message("reason-style"),
    "cast": message("reason-cast"),
    "longer": message("reason-longer"),
    "frame_rate": message("reason-frame-rate"),
    "size": message("reason-size"),
    "seed": message("reason-seed"),
    "steps": message("reason-steps"),
    "guidance": message("reason-guidance"),
    "top_k": message("reason-top-k"),
    "full_below": message("reason-full-below"),
    "router": message("reason-router"),
    "steering": message("reason-steering"),
    "negative_prompt": message("reason-negative-prompt"),
    "scheduler": message("reason-scheduler"),
    "guidance_2": message("reason-guidance-2"),
    "loras": message("reason-loras"),
    "first_frame": message("reason-first-frame"),
    "step_cache": message("reason-step-cache"),
    "memory": message("reason-memory"),
    "positions": message("reason-positions"),
    "guide": message("reason-guide"),
    "control": message("reason-control"),
}

_LEAST: Final = 0.005
"""The least share that is shown as a figure."""


def in_words(reason: Reason) -> str:
    """A reason as shown beside its shot."""
    return str(reason_message(reason))


def reason_message(reason: Reason) -> Message:
    match reason:
        case OwnReason(code=code):
            return _OWN[code]
        case ReferenceReason():
            return _about_references(reason)
        case FirstFrameReason():
            return _about_first_frame(reason)
        case ContextReason():
            return message("reason-context", became=_what_became(reason), dependence=_dependence(reason))
        case AddedContext(index=index):
            return message("reason-shot-added", shot=_shot(index))
        case ReorderedContext():
            return message("reason-reordered")
        case _:
            assert_never(reason)


def _about_references(reason: ReferenceReason) -> Message:
    if not reason.members:
        return message("reason-references-gone" if reason.gone else "reason-references-order")
    *some, last = reason.members
    if not some:
        return message("reason-references", name=last)
    return message("reason-references-of-some", names=", ".join(some), last=last)


def _about_first_frame(reason: FirstFrameReason) -> Message:
    shot = _shot(reason.index)
    match reason.code:
        case "first_frame_new_take":
            return message("reason-first-frame-new-take", shot=shot)
        case "first_frame_moved":
            return message("reason-first-frame-moved", shot=shot)
        case "first_frame_due":
            return message("reason-first-frame-due", shot=shot)
        case _:
            assert_never(reason.code)


def _what_became(reason: ContextReason) -> Message:
    shot = _shot(reason.index)
    match reason.code:
        case "new_take":
            return message("context-new-take", shot=shot)
        case "deleted":
            return message("context-deleted")
        case "skipped":
            return message("context-skipped", shot=shot)
        case "moved_behind":
            return message("context-moved-behind", shot=shot)
        case "no_take":
            return message("context-no-take", shot=shot)
        case "due":
            return message("context-due", shot=shot)
        case _:
            assert_never(reason.code)


def _dependence(reason: ContextReason) -> Message:
    if max(reason.share, reason.part_share) < _LEAST:
        return message("dependence-none")
    if not reason.part:
        return message("dependence", share=reason.share)
    return message("dependence-of-part", share=reason.share, part=reason.part, part_share=reason.part_share)


def _shot(index: int | None) -> Message:
    return message("context-deleted-shot") if index is None else message("context-shot", number=index + 1)
