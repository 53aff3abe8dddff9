"""What a render will need of a machine's memory, told before anything is loaded. No torch.

model on this machine ─► configurations of its parts ──┐
the film's longest shot and its context ───────────────┼─► RenderNeeds: by profile
memory of the machine ─────────────────────────────────┘
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from moc_engine.config import MemoryChoice, MemoryConfig
from moc_engine.errors import EngineError
from moc_engine.memory.film_need import ContextBudget, film_need
from moc_engine.model_defaults import model_defaults
from moc_engine.model_index import EMBEDDED
from moc_engine.model_memory import wan_size
from moc_engine.models.finding import find_here
from moc_engine.models.registry import family_entry
from moc_engine.profiles import GIB, PROFILES, Profile, profile_named

_SMALLEST_GPU: Final = 8
"""GiB of the smallest GPU that a profile is for."""


@dataclass(frozen=True, kw_only=True)
class RenderNeed:
    """Bytes that rendering a shot needs at its peak on the GPU (`device`), in main memory and in files.

    `remembered` bytes are the memories of its context, of which each step brings `per_step` to the GPU.
    Without a GPU everything is in `host`, and `device` is 0.
    """

    profile: Profile
    device: int
    host: int
    disk: int
    remembered: int
    per_step: int


@dataclass(frozen=True, kw_only=True)
class RenderNeeds:
    """The need under the profile that renders, and under each one, from the one that needs most of a GPU.

    The chosen one is among `profiles`. Where there is no GPU, the others are those of a GPU as small as each
    profile is for.
    """

    chosen: RenderNeed
    profiles: tuple[RenderNeed, ...]


def render_needs(
    model: str | None,
    *,
    size: tuple[int, int],
    seconds: float,
    context: Sequence[float],
    memory: MemoryChoice,
    guided: bool,
    gpu: int | None,
    main: int,
    references: int = 0,
    profile: str = "auto",
    budget: ContextBudget | None = None,
) -> RenderNeeds | None:
    """The needs of a shot of so many `seconds` after context takes of these lengths, on a machine with so
    many bytes of GPU and `main` memory. `references` are its reference pictures, which count where the model
    takes any. None for a model that is not here, or whose size is not predicted.
    """
    try:
        here = find_here(EMBEDDED if model is None else model)
        configs = {name: found for name, part in here.parts.items() if (found := _config(part.config_folder))}
        pixels = wan_size(configs).pixels
        abilities = family_entry(here.pipeline_class).abilities(here.index)
    except (EngineError, OSError, KeyError, TypeError, ValueError):
        return None
    own = model_defaults(model)
    remembering = memory.over(MemoryConfig() if own is None else own.memory)
    shapes = [_latent_shape(configs["vae"], pixels, size, length) for length in (*context, seconds)]

    def under(named: Profile, gpu: int | None) -> RenderNeed:
        need = film_need(
            configs,
            named,
            shapes,
            remembering,
            device_memory=gpu or 0,
            host_memory=main,
            budget=budget,
            on_cpu=gpu is None,
            guided=guided,
            references=references if "references" in abilities else 0,
        )
        return RenderNeed(
            profile=named,
            device=need.device,
            host=need.host,
            disk=need.disk,
            remembered=need.context.total,
            per_step=need.context.copied_per_step,
        )

    chosen = profile_named(profile, "cpu" if gpu is None else "cuda", gpu or 0)
    listed = PROFILES if chosen in PROFILES else (chosen, *PROFILES)
    needs = {one: under(one, gpu if one == chosen else gpu or _gpu_for(one)) for one in listed}
    return RenderNeeds(chosen=needs[chosen], profiles=tuple(needs.values()))


def _gpu_for(profile: Profile) -> int:
    """The bytes of the smallest GPU that a profile is for."""
    return int(max(profile.gibibytes, _SMALLEST_GPU) * GIB)


def _latent_shape(
    autoencoder: Mapping[str, Any], pixels: int, size: tuple[int, int], seconds: float
) -> tuple[int, int, int, int]:
    """(C, F, H, W) of a shot."""
    channels = int(autoencoder.get("z_dim", 16))
    rate = 24 if channels == 48 else 16
    frames = 1 + round(max(0.0, seconds * rate - 1) / int(autoencoder.get("scale_factor_temporal", 4)))
    width, height = (max(1, side // pixels) for side in size)
    return channels, frames, height, width


def _config(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "config.json").read_bytes()))
    except (OSError, TypeError, ValueError):
        return {}
