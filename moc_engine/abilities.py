"""What a model can do beyond rendering a caption, and what a request asks of it. No torch.

model_index.json ─► FamilyEntry.abilities ─► the studio shows or hides settings
RenderRequest ─► check_abilities(…, Family.abilities) ─► EngineError in words
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, Literal, get_args

from moc_engine.contract import RenderRequest
from moc_engine.errors import EngineError

Ability = Literal[
    "scheduler",
    "negative_prompt",
    "two_experts",
    "loras",
    "first_frame",
    "guide",
    "control",
    "references",
    "step_cache",
    "processes",
]
"""`scheduler`: a choice of solver and flow shift. `two_experts`: a second transformer for low noise, with a
guidance and LoRAs of its own. `guide`: video-to-video from a clip. `control`: a clip that the picture follows
throughout. `references`: pictures of whom a shot shows. `processes`: several may compute one shot together,
which no request asks for, but the renderer."""

ABILITIES: Final[tuple[Ability, ...]] = get_args(Ability)

LACKS: Final[dict[Ability, str]] = {
    "scheduler": "has no choice of scheduler or flow shift",
    "negative_prompt": "takes no negative prompt",
    "two_experts": "has no second transformer for low noise",
    "loras": "takes no LoRAs",
    "first_frame": "takes no first frame",
    "guide": "takes no clip as a guide",
    "control": "takes no clip as control",
    "references": "takes no reference pictures",
    "step_cache": "has no step cache",
    "processes": "cannot be computed by several processes",
}
"""What is said of a model without the ability, behind its name."""


def asked_abilities(request: RenderRequest) -> tuple[Ability, ...]:
    """The abilities that a request needs."""
    sampler = request.sampler
    asked: dict[Ability, bool] = {
        "scheduler": sampler.scheduler is not None or sampler.shift is not None,
        "negative_prompt": request.negative_prompt is not None,
        "two_experts": sampler.guidance_2 is not None or any(lora.expert != "both" for lora in request.loras),
        "loras": bool(request.loras),
        "first_frame": request.first_frame is not None,
        "guide": request.guide is not None,
        "control": request.control is not None,
        "references": bool(request.references),
        "step_cache": request.step_cache is not None,
    }
    return tuple(ability for ability, needed in asked.items() if needed)


def check_abilities(request: RenderRequest, abilities: Collection[Ability], model: str) -> None:
    """Raises `EngineError` for a request that asks for what the `model`, in words, cannot do."""
    for ability in asked_abilities(request):
        if ability not in abilities:
            raise EngineError(f"the {model} {LACKS[ability]}")
