"""The samplers that the step-distilled LoRAs of a film need."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from moc_engine.errors import EngineError
from moc_engine.lora_files import read_lora_file


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
    """Of these LoRA files those that are distilled to few steps; one that cannot be read is none of them."""
    return tuple(found for file in files if (found := _known(file)) is not None)


def _known(file: str) -> LoraSampler | None:
    try:
        stat = Path(file).stat()
    except OSError:
        return None
    return _read(file, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=256)
def _read(file: str, size: int, changed: int) -> LoraSampler | None:
    """Reads the header again when the file is another one."""
    try:
        lora = read_lora_file(Path(file))
    except EngineError:
        return None
    sampler = lora.sampler
    if sampler is None or lora.preset is None:
        return None
    assert sampler.steps is not None
    assert sampler.guidance is not None
    assert sampler.guidance_2 is not None
    assert sampler.scheduler is not None
    assert sampler.shift is not None
    return LoraSampler(
        file=file,
        preset=lora.preset,
        steps=sampler.steps,
        guidance=sampler.guidance,
        guidance_2=sampler.guidance_2,
        scheduler=sampler.scheduler,
        shift=sampler.shift,
    )
