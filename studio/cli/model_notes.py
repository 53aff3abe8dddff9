"""What is told of a film and its model: settings without effect, samplers of LoRAs, the memory needed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from studio.cli.shot_numbers import shots_in_words
from studio.domain.inputs import RenderingModel
from studio.domain.storyboard import Storyboard
from studio.service.lora_samplers import lora_samplers
from studio.service.needs import RenderNeedState
from studio.service.render_checks import Problem
from studio.service.unused_settings import UnusedSetting, unused_settings

_GIB: Final = 2**30

NO_ESTIMATE: Final = "no estimate yet: no shot was rendered with this model here"

_OF_DRAFTS: Final = ("draft_model", "guide_strength", "control_scale")
"""Settings about drafts, which only projects have."""

_SAMPLER: Final = ("steps", "guidance", "scheduler", "shift")
"""Settings that step-distilled LoRAs need."""


def unused(board: Storyboard, model: RenderingModel, *, of_file: bool) -> Iterator[str]:
    """A line on each setting that the model cannot use, or that is about the drafts of projects."""
    called = "the embedded model" if board.settings.model is None else f"the model {board.settings.model}"
    for setting in unused_settings(board, model):
        if not (of_file and setting.name in _OF_DRAFTS):
            yield f"not used: {_whose(setting)}, as {called} {setting.why}"
    if of_file and (names := [name for name in _OF_DRAFTS if _is_set(board, name)]):
        yield (
            f"not used: {', '.join(names)}, as a file is rendered without drafts; import it as a project to "
            "have them"
        )


def _whose(setting: UnusedSetting) -> str:
    if setting.name == "references":
        return "pictures of cast members"
    owners = ["the film"] if setting.of_film else []
    owners += [shots_in_words(setting.shots)] if setting.shots else []
    return f"{setting.name} of {' and of '.join(owners)}"


def _is_set(board: Storyboard, name: str) -> bool:
    return any(getattr(owner, name, None) is not None for owner in (board.settings, *board.shots))


def samplers(board: Storyboard) -> Iterator[str]:
    """A line on each step-distilled LoRA of the film whose sampler is not set."""
    settings = board.settings
    for sampler in lora_samplers(lora.file for lora in settings.loras if lora.weight):
        if any(getattr(settings, name) != getattr(sampler, name) for name in _SAMPLER):
            wanted = (f"--{name} {getattr(sampler, name)}" for name in _SAMPLER)
            yield f"{sampler.file} is a {sampler.preset} LoRA, which is made for {' '.join(wanted)}"


def problem(found: Problem) -> str:
    """A problem in words, with the shots that it is about."""
    return f"{shots_in_words(found.shots)}: {found.text}" if found.shots else str(found.text)


def need(found: RenderNeedState) -> Iterator[str]:
    """Lines on the memory that the longest shot needs, and what this machine has of it."""
    main = f"{found.host / _GIB:.1f} of {found.host_total / _GIB:.1f} GB of main memory"
    if not found.device_total:
        yield f"the longest shot needs about {main}, and renders slowly: there is no GPU"
    else:
        device = f"{found.device / _GIB:.1f} of {found.device_total / _GIB:.1f} GB on the GPU"
        yield f"the longest shot needs about {device} and {main} under the profile {found.profile}"
    if not found.fits:
        lower = next((one.profile for one in reversed(found.profiles) if one.fits), None)
        advice = f"; it fits under --profile {lower}" if lower and lower != found.profile else ""
        yield f"this machine has less: choose a smaller size or shorter shots{advice}"
