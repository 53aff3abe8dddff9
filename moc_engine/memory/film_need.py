"""What a planned film needs with a model, its weights and its memory, before it is rendered. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from moc_engine.config import Chunking, MemoryConfig
from moc_engine.memory.estimate import MemoryEstimate, MemoryModel, estimated_memory
from moc_engine.model_memory import ModelSize, predicted_need
from moc_engine.profiles import Profile


@dataclass(frozen=True, kw_only=True)
class FilmNeed:
    """Bytes at the peak of the shot that needs most: of the device, of main memory, and of files.

    `context` is the part of them that earlier shots take, and what each step moves of it. Where the model
    runs on the CPU, device and main memory are one, and all is in `host`.
    """

    device: int
    host: int
    disk: int
    context: MemoryEstimate


@dataclass(frozen=True, kw_only=True)
class ContextBudget:
    """Bytes of the device and of main memory that the memories of earlier shots may take.

    Each is what `ShotRenderer` takes of its own accord where None: a quarter of the device's memory, and half
    of main memory besides.
    """

    device: int | None = None
    host: int | None = None


def film_need(
    size: ModelSize,
    profile: Profile,
    latent_shapes: Sequence[Sequence[int]],
    memory: MemoryConfig,
    *,
    device_memory: int,
    host_memory: int,
    budget: ContextBudget | None = None,
    on_cpu: bool = False,
    guided: bool = True,
    references: int = 0,
    chunking: Chunking = "frame",
) -> FilmNeed:
    """What the last of some shots needs with all before it as context; it is the most of all.

    `latent_shapes` (C, F, H, W) are those of the shots in order. The last one has so many reference pictures
    (`references`), a latent frame each. Raises `ValueError` without shots.
    """
    if not latent_shapes:
        raise ValueError("latent_shapes: there are no shots")
    itemsize = 4 if on_cpu else 2
    *earlier, last = latent_shapes
    model = MemoryModel.of_size(size, (last[2], last[3]), itemsize=itemsize, chunking=chunking)
    asked = budget or ContextBudget()
    on_device = (host_memory if on_cpu else device_memory) // 4 if asked.device is None else asked.device
    in_main = host_memory // 2 if asked.host is None else asked.host
    context = estimated_memory(
        model,
        [shape[1] // size.patch[0] for shape in earlier],
        memory,
        device_budget=on_device,
        host_budget=in_main,
        on_cpu=on_cpu,
        rows=2 if guided and not profile.two_passes else 1,
        passes=2 if guided and profile.two_passes else 1,
    )
    channels, frames, *sides = last
    denoised = (channels, frames + references, *sides)
    need = predicted_need(size, profile, denoised, guided=guided, full_bytes=itemsize)
    stages = {**need.stages, "denoise": need.stages["denoise"] + context.buffers}
    peak, host = max(stages.values()), need.host + context.host
    return FilmNeed(
        device=0 if on_cpu else peak + context.device,
        host=peak + host if on_cpu else host,
        disk=context.disk,
        context=context,
    )
