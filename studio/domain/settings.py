"""The settings of a film: the model, what goes with it, and how it renders."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from studio.domain.checks import check_choice, check_number, check_text, compose
from studio.domain.errors import BadStoryboard
from studio.domain.messages import message

Looks = Literal["first", "every"]
Context = Literal["all", "finished"]
"""Which earlier shots a shot sees: all of them, or those that were finished when its render began."""
FullBelow = int | Literal["auto"]
Scheduler = Literal["euler", "unipc", "dpm++"]
Expert = Literal["both", "high", "low"]
"""The transformers of a model with two: one for high and one for low noise."""
Storage = Literal["full", "int8"]
Positions = Literal["continue", "clamp", "restart"]
StepCache = Literal["first-block", "mag", "taylor"]

MAX_LORAS: Final = 16
LARGEST_LORA_WEIGHT: Final = 10
LARGEST_CONTROL_SCALE: Final = 2

_NAME = re.compile(r"[\w-]{1,40}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class Lora:
    """A LoRA over the model's weights: a file, its weight, and the transformers it goes into."""

    file: str
    weight: float = 1.0
    expert: Expert = "both"

    def __post_init__(self) -> None:
        compose(self, "file")
        check_text(self.file, "file", most=500)
        check_number(self.weight, "weight", -LARGEST_LORA_WEIGHT, LARGEST_LORA_WEIGHT)
        check_choice(self.expert, "expert", get_args(Expert))


def together(film: Iterable[Lora], shot: Iterable[Lora]) -> tuple[Lora, ...]:
    """The LoRAs of the film with those of a shot, which replace the same ones; weight 0 leaves one out."""
    merged = {(lora.file, lora.expert): lora for lora in (*film, *shot)}
    return tuple(lora for lora in merged.values() if lora.weight)


def check_draft_use(strength: float | None, scale: float | None) -> None:
    """Raises `BadStoryboard` where the strength of a guide or the scale of control is out of range, or both
    are given.
    """
    if strength is not None:
        check_number(strength, "guide_strength", 0.01, 1)
    if scale is not None:
        check_number(scale, "control_scale", 0.01, LARGEST_CONTROL_SCALE)
        if strength is not None:
            raise BadStoryboard(message("guide-and-control"), ("control_scale",))


def check_loras(loras: tuple[Lora, ...]) -> None:
    """Raises `BadStoryboard` for too many, or the same one twice for the same transformers."""
    if len(loras) > MAX_LORAS:
        raise BadStoryboard(message("too-many-loras", most=MAX_LORAS, count=len(loras)), ("loras",))
    if len({(lora.file, lora.expert) for lora in loras}) < len(loras):
        raise BadStoryboard(message("lora-twice"), ("loras",))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How the film is made; None leaves it to the model.

    With `context="finished"` a shot waits for no earlier one: it sees those that are finished when its render
    begins. `looks` says whether a cast member's look goes into the first caption that names it, which is
    enough for a model that remembers, or into every one. A shot whose context changed is rendered again
    if its dependence on the changed take is at least `rerender_threshold`, 0–1. A shot that can attend to
    fewer than `full_below` tokens attends to all of them: 0 is never, "auto" where that is faster.

    An empty `negative_prompt` is none, and not the model's own. `guidance_2` is the guidance of the
    transformer for low noise. `memory_policy` says which chunks of finished takes are remembered, `keyframes`
    of each take where it picks frames; `memory_storage` how; `positions` which positions in time remembered
    tokens have; `router` how queries choose among the chunks. Drafts are rendered with `draft_model`. The
    final of a shot starts from its draft with `guide_strength`, by which it is changed: 1 is no guide. Or it
    follows the draft throughout, as closely as `control_scale` says.
    """

    model: str | None = None
    steps: int | None = None
    guidance: float | None = None
    top_k: int | None = None
    full_below: FullBelow | None = None
    looks: Looks = "first"
    rerender_threshold: float = 0.5
    negative_prompt: str | None = None
    scheduler: Scheduler | None = None
    shift: float | None = None
    guidance_2: float | None = None
    loras: tuple[Lora, ...] = ()
    step_cache: StepCache | None = None
    memory_policy: str | None = None
    keyframes: int | None = None
    memory_storage: Storage | None = None
    positions: Positions | None = None
    router: str | None = None
    context: Context = "all"
    draft_model: str | None = None
    guide_strength: float | None = None
    control_scale: float | None = None

    def __post_init__(self) -> None:
        compose(self, "negative_prompt")
        if self.steps is not None:
            check_number(self.steps, "steps", 1, 1000)
        if self.guidance is not None:
            check_number(self.guidance, "guidance", 0, 30)
        if self.top_k is not None:
            check_number(self.top_k, "top_k", 0, 10_000)
        if isinstance(self.full_below, int):
            check_number(self.full_below, "full_below", 0, 999_999)
        elif self.full_below not in (None, "auto"):
            raise BadStoryboard(message("full-below-unreadable", text=self.full_below), ("full_below",))
        if self.looks not in ("first", "every"):
            raise BadStoryboard(message("looks-unknown", value=self.looks), ("looks",))
        check_choice(self.context, "context", get_args(Context))
        check_number(self.rerender_threshold, "rerender_threshold", 0, 1)
        if self.model is not None:
            check_text(self.model, "model", most=500)
        if self.draft_model is not None:
            check_text(self.draft_model, "draft_model", most=500)
        check_draft_use(self.guide_strength, self.control_scale)
        if self.negative_prompt:
            check_text(self.negative_prompt, "negative_prompt", most=2000)
        if self.scheduler is not None:
            check_choice(self.scheduler, "scheduler", get_args(Scheduler))
        if self.shift is not None:
            check_number(self.shift, "shift", 0.01, 100)
        if self.guidance_2 is not None:
            check_number(self.guidance_2, "guidance_2", 0, 30)
        check_loras(self.loras)
        if self.step_cache is not None:
            check_choice(self.step_cache, "step_cache", get_args(StepCache))
        if self.memory_policy is not None and not _NAME.fullmatch(self.memory_policy):
            raise BadStoryboard(message("memory-policy-unreadable"), ("memory_policy",))
        if self.router is not None and not _NAME.fullmatch(self.router):
            raise BadStoryboard(message("router-unreadable"), ("router",))
        if self.keyframes is not None:
            check_number(self.keyframes, "keyframes", 1, 10_000)
        if self.memory_storage is not None:
            check_choice(self.memory_storage, "memory_storage", get_args(Storage))
        if self.positions is not None:
            check_choice(self.positions, "positions", get_args(Positions))


def parse_full_below(text: str) -> FullBelow:
    """ "8192" -> 8192, "auto" -> "auto"."""
    plain = text.strip().lower()
    if plain == "auto":
        return "auto"
    if re.fullmatch(r"[-+]?\d{1,30}", plain) is None:
        raise BadStoryboard(message("full-below-unreadable", text=text))
    return int(plain)
