"""What a planned film needs with a Wan model, its weights and its memory, before it is rendered. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from moc_engine.config import Chunking, MemoryConfig
from moc_engine.memory.estimate import MemoryEstimate, MemoryModel, estimated_memory
from moc_engine.model_memory import Config, predicted_need, wan_size
from moc_engine.profiles import Profile


@dataclass(frozen=True, kw_only=True)
class FilmNeed:
    """Bytes at the peak of the shot that needs most: of the device, of main memory, and of files.

    `context` is the part of them that earlier shots take, and what each step moves of it.
    """

    device: int
    host: int
    disk: int
    context: MemoryEstimate


def film_need(
    configs: Mapping[str, Config],
    profile: Profile,
    latent_shapes: Sequence[Sequence[int]],
    memory: MemoryConfig,
    *,
    device_memory: int,
    host_memory: int,
    on_cpu: bool = False,
    guided: bool = True,
    chunking: Chunking = "frame",
) -> FilmNeed:
    """What the last of some shots needs with all before it as context; it is the most of all.

    `configs` are those of `wan_size`, `latent_shapes` (C, F, H, W) those of the shots in order. Memories take
    a quarter of the device's memory and half of main memory, as `ShotRenderer` gives them. Raises
    `ValueError` without shots.
    """
    if not latent_shapes:
        raise ValueError("latent_shapes: there are no shots")
    size = wan_size(configs)
    first = next(configs[name] for name in ("transformer", "transformer_2") if name in configs)
    itemsize = 4 if on_cpu else 2
    *earlier, last = latent_shapes
    model = MemoryModel.of_config(
        first, (last[2], last[3]), itemsize=itemsize, experts=size.transformers, chunking=chunking
    )
    context = estimated_memory(
        model,
        [shape[1] // size.patch[0] for shape in earlier],
        memory,
        device_budget=device_memory // 4,
        host_budget=host_memory // 4 if on_cpu else host_memory // 2,
        on_cpu=on_cpu,
        rows=2 if guided and not profile.two_passes else 1,
    )
    need = predicted_need(size, profile, last, guided=guided, full_bytes=itemsize)
    stages = {**need.stages, "denoise": need.stages["denoise"] + context.buffers}
    return FilmNeed(
        device=max(stages.values()) + (context.host if on_cpu else context.device),
        host=need.host + context.host,
        disk=context.disk,
        context=context,
    )
