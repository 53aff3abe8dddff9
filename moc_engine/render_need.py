"""What a render will need of a machine's memory, told before anything is loaded. No torch.

model on this machine ─► sizes of its parts ──┐
the film's longest shot and its context ──────┼─► RenderNeed
memory of the machine ────────────────────────┘
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moc_engine.config import MemoryChoice, MemoryConfig
from moc_engine.errors import EngineError
from moc_engine.memory.estimate import MemoryModel, estimated_memory
from moc_engine.model_defaults import model_defaults
from moc_engine.model_index import EMBEDDED
from moc_engine.model_memory import ModelSize, predicted_need, wan_size
from moc_engine.models.finding import find_here
from moc_engine.profiles import profile_named


@dataclass(frozen=True, kw_only=True)
class RenderNeed:
    """Bytes that rendering a shot needs at its peak on the GPU (`device`) and in main memory (`host`).

    `profile` fits the model to the machine. `remembered` bytes are the memories of its context, of which each
    step brings `per_step` to the GPU. Without a GPU everything is in `host`, and `device` is 0.
    """

    profile: str
    device: int
    host: int
    remembered: int
    per_step: int


def render_need(
    model: str | None,
    *,
    size: tuple[int, int],
    seconds: float,
    context: Sequence[float],
    memory: MemoryChoice,
    guided: bool,
    gpu: int | None,
    main: int,
) -> RenderNeed | None:
    """The need of a shot of so many `seconds` after context takes of these lengths, on a machine with so many
    bytes of GPU and `main` memory. None for a model that is not here, or whose size is not predicted.
    """
    try:
        parts = find_here(EMBEDDED if model is None else model).parts
        configs = {name: _config(part.config_folder) for name, part in parts.items()}
        sizes = wan_size({name: config for name, config in configs.items() if config})
    except (EngineError, OSError, KeyError, TypeError, ValueError):
        return None
    autoencoder = configs["vae"]
    shape = _latent_shape(sizes, autoencoder, size, seconds)
    itemsize = 4 if gpu is None else 2
    own = model_defaults(model)
    transformer = next(configs[name] for name in ("transformer", "transformer_2") if configs.get(name))
    remembering = MemoryModel.of_config(
        transformer, (shape[2], shape[3]), itemsize=itemsize, experts=sizes.transformers
    )
    kept = estimated_memory(
        remembering,
        [_latent_shape(sizes, autoencoder, size, length)[1] for length in context],
        memory.over(MemoryConfig() if own is None else own.memory),
        device_budget=0 if gpu is None else gpu // 4,
        host_budget=main // 2,
        on_cpu=gpu is None,
        rows=2 if guided else 1,
    )
    profile = profile_named("auto", "cpu" if gpu is None else "cuda", gpu or 0)
    need = predicted_need(
        sizes, profile, shape, guided=guided, history=kept.device + kept.buffers, full_bytes=itemsize
    )
    device, host = (0, need.device + need.host) if gpu is None else (need.device, need.host)
    return RenderNeed(
        profile=profile.name,
        device=device,
        host=host + kept.host,
        remembered=kept.total,
        per_step=kept.copied_per_step,
    )


def _latent_shape(
    sizes: ModelSize, autoencoder: dict[str, Any], size: tuple[int, int], seconds: float
) -> tuple[int, int, int, int]:
    """(C, F, H, W) of a shot."""
    channels = int(autoencoder.get("z_dim", 16))
    rate = 24 if channels == 48 else 16
    frames = 1 + round(max(0.0, seconds * rate - 1) / int(autoencoder.get("scale_factor_temporal", 4)))
    width, height = (max(1, side // sizes.pixels) for side in size)
    return channels, frames, height, width


def _config(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / "config.json").read_bytes()))
    except (OSError, TypeError, ValueError):
        return {}
