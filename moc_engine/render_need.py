"""What a render will need of a machine's memory, told before anything is loaded. No torch.

model on this machine ─► configurations of its parts ──┐
the film's longest shot and its context ───────────────┼─► RenderNeeds: by profile
memory of the machine ─────────────────────────────────┘
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from moc_engine.config import MemoryChoice, MemoryConfig
from moc_engine.errors import EngineError
from moc_engine.memory.film_need import ContextBudget, film_need
from moc_engine.model_defaults import model_defaults
from moc_engine.model_index import EMBEDDED
from moc_engine.models.finding import find_here
from moc_engine.models.registry import family_entry
from moc_engine.models.sizes import model_size
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
        sizes = model_size(here)
        abilities = family_entry(here.pipeline_class).abilities(here.index)
    except (EngineError, OSError):
        return None
    if sizes is None:
        return None
    own = model_defaults(model)
    remembering = memory.over(MemoryConfig() if own is None else own.memory)
    shapes = [sizes.latent_shape(size, length) for length in (*context, seconds)]

    def under(named: Profile, gpu: int | None) -> RenderNeed:
        need = film_need(
            sizes,
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
