"""Settings of a storyboard that have no effect, as its model cannot use them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from moc_engine.abilities import LACKS, Ability
from studio.domain.inputs import RenderingModel
from studio.domain.storyboard import Storyboard

NEEDED: Final[Mapping[str, Ability]] = {
    "negative_prompt": "negative_prompt",
    "scheduler": "scheduler",
    "shift": "scheduler",
    "guidance_2": "two_experts",
    "loras": "loras",
    "step_cache": "step_cache",
    "first_frame": "first_frame",
    "guide_strength": "guide",
    "control_scale": "control",
    "references": "references",
}
"""What a model must be able to do for a setting to have an effect."""


@dataclass(frozen=True, kw_only=True)
class UnusedSetting:
    """A setting that has no effect: its name in storyboards, the indices of the shots that have it of their
    own, whether the film or its cast has it, and what is said of the model ("takes no first frame").
    """

    name: str
    of_film: bool
    shots: tuple[int, ...]
    why: str


def unused_settings(board: Storyboard, model: RenderingModel) -> tuple[UnusedSetting, ...]:
    """The settings of a storyboard that its model cannot use; shots that are skipped do not count."""
    found = []
    for name, ability in NEEDED.items():
        of_film = _is_set(board.settings, name)
        if name == "references":
            of_film = any(member.picture is not None for member in board.cast)
        shots = tuple(
            index for index, shot in enumerate(board.shots) if not shot.skip and _is_set(shot, name)
        )
        if (of_film or shots) and not model.can(ability):
            found.append(UnusedSetting(name=name, of_film=of_film, shots=shots, why=LACKS[ability]))
    return tuple(found)


def _is_set(owner: object, name: str) -> bool:
    return getattr(owner, name, None) not in (None, ())
