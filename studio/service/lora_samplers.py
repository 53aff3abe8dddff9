"""The samplers that the step-distilled LoRAs of a film need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from moc_engine.errors import EngineError
from moc_engine.lora_files import SAMPLER_PRESETS, preset_named, read_lora_file
from moc_engine.sources.hub_id import parse_hub_file
from moc_engine.sources.lora_source import local_file


@dataclass(frozen=True, kw_only=True)
class LoraSampler:
    """The settings that a LoRA was distilled for; `preset` is what such LoRAs are called."""

    file: str
    preset: str
    steps: int
    guidance: float
    guidance_2: float
    scheduler: str
    shift: float


def lora_samplers(files: Iterable[str]) -> tuple[LoraSampler, ...]:
    """Of these LoRAs those that are distilled to few steps; one that cannot be read is none of them.

    One of the hub that is not on this machine yet is known by its name alone.
    """
    return tuple(found for file in files if (found := _known(file)) is not None)


def _known(file: str) -> LoraSampler | None:
    path = local_file(file)
    if path is None:
        on_hub = parse_hub_file(file)
        return None if on_hub is None else _sampler(file, preset_named(on_hub.name), on_hub.name)
    stat = path.stat()
    return _sampler(file, _preset(path, stat.st_size, stat.st_mtime_ns), path.name)


@lru_cache(maxsize=256)
def _preset(path: Path, size: int, changed: int) -> str | None:
    """Reads the header again when the file is another one."""
    try:
        return read_lora_file(path).preset
    except EngineError:
        return None


def _sampler(file: str, preset: str | None, name: str) -> LoraSampler | None:
    if preset is None:
        return None
    sampler = SAMPLER_PRESETS[preset].sampler(name)
    assert sampler.steps is not None
    assert sampler.guidance is not None
    assert sampler.guidance_2 is not None
    assert sampler.scheduler is not None
    assert sampler.shift is not None
    return LoraSampler(
        file=file,
        preset=preset,
        steps=sampler.steps,
        guidance=sampler.guidance,
        guidance_2=sampler.guidance_2,
        scheduler=sampler.scheduler,
        shift=sampler.shift,
    )
