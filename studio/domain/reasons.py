"""Why a shot is not up to date, as codes with parameters; `studio.service.reason_words` words them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OwnReasonCode = Literal[
    "unwritten",
    "missing",
    "model",
    "caption",
    "look",
    "style",
    "cast",
    "longer",
    "frame_rate",
    "size",
    "seed",
    "steps",
    "guidance",
    "top_k",
    "full_below",
    "router",
    "steering",
    "negative_prompt",
    "scheduler",
    "guidance_2",
    "loras",
    "first_frame",
    "step_cache",
    "memory",
    "positions",
    "guide",
    "control",
]
"""The shot has no caption or take, or what its take was rendered from differs from what it asks for now."""

ContextReasonCode = Literal["new_take", "deleted", "skipped", "moved_behind", "no_take", "due"]
"""What became of a shot in the context; `due`: it will be rendered again."""


@dataclass(frozen=True, kw_only=True)
class OwnReason:
    """A reason of the shot's own."""

    code: OwnReasonCode

    @property
    def influence(self) -> float:
        return 1.0


@dataclass(frozen=True, kw_only=True)
class ContextReason:
    """A take in the context is no longer there, or will not be.

    `index` is that of its shot, None if the shot is deleted. `share` is how much of what the take drew from
    its context came from there; `part` drew most from it, `part_share` of what it drew from all. `influence`
    estimates how much of the picture depends on it. Shares are 0–1.
    """

    code: ContextReasonCode
    index: int | None
    share: float
    part: str
    part_share: float
    influence: float


@dataclass(frozen=True, kw_only=True)
class AddedContext:
    """The shot at `index` is new in the context."""

    index: int | None
    code: Literal["added"] = "added"

    @property
    def influence(self) -> float:
        return 0.0


@dataclass(frozen=True, kw_only=True)
class ReorderedContext:
    """The context has the same takes in another order."""

    code: Literal["reordered"] = "reordered"

    @property
    def influence(self) -> float:
        return 0.0


@dataclass(frozen=True, kw_only=True)
class FirstFrameReason:
    """The frame that the shot starts with, the last of the shot at `index`, is another one now, or will be.

    `first_frame_moved`: that shot ends at another frame of its take. `first_frame_due`: it will be rendered
    again, and `influence` is how much of its picture changes by that.
    """

    code: Literal["first_frame_new_take", "first_frame_moved", "first_frame_due"]
    index: int
    influence: float = 1.0


@dataclass(frozen=True, kw_only=True)
class ReferenceReason:
    """The pictures of these cast members are others now. Without any, somebody with a picture is `gone` from
    the cast, or the order of the pictures is another.
    """

    members: tuple[str, ...]
    gone: bool = False
    code: Literal["references"] = "references"

    @property
    def influence(self) -> float:
        return 1.0


Reason = OwnReason | ReferenceReason | FirstFrameReason | ContextReason | AddedContext | ReorderedContext
