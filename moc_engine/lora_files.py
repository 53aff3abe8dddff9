"""LoRA files: how their keys are named, and which samplers step-distilled ones need. No torch.

Read from the header of a safetensors file alone, so that files of hundreds of megabytes can be listed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal

from moc_engine.config import SamplerChoice
from moc_engine.errors import EngineError
from moc_engine.sources.weights_header import PICKLES, WeightsHeader, read_header

Layout = Literal["diffusers", "comfyui", "kohya"]
"""How keys are named: as diffusers and PEFT do, as ComfyUI and original releases do (`diffusion_model.…`), or
as kohya's trainers (`lora_unet_…`)."""

_PREFIXES: Final[Mapping[str, Layout]] = {
    "transformer.": "diffusers",
    "diffusion_model.": "comfyui",
    "model.diffusion_model.": "comfyui",
    "lora_unet_": "kohya",
    "base_model.model.": "diffusers",
    "blocks.": "comfyui",
    "double_blocks.": "comfyui",
    "single_blocks.": "comfyui",
}

_FACTORS: Final = (".lora_A", ".lora_down", ".lora.down")

_OTHER_METHODS: Final = {
    "lokr_": "a LoKr",
    "hada_": "a LoHa",
    "dora_scale": "a DoRA",
    "lora_magnitude_vector": "a DoRA",
    "oft_": "an OFT",
}
"""Parts of keys of related methods, which are not LoRA."""


@dataclass(frozen=True, kw_only=True)
class LoraFile:
    """What the header of a LoRA file tells.

    `rank` is the largest of its layers. `expert` is the one of two experts that its name says it is for.
    `preset` names the sampler it needs where it is distilled to few steps (`SAMPLER_PRESETS`).
    """

    path: Path
    layout: Layout
    rank: int
    expert: Literal["high", "low"] | None
    preset: str | None

    @property
    def sampler(self) -> SamplerChoice | None:
        """The sampler settings that the LoRA was distilled for; None where it leaves them to the model."""
        preset = None if self.preset is None else SAMPLER_PRESETS[self.preset]
        return None if preset is None else preset.sampler(self.path.name)


@dataclass(frozen=True, kw_only=True)
class SamplerPreset:
    """The sampler of one kind of step-distilled LoRA; `name_pattern` recognises its names."""

    name_pattern: str
    steps: int = 4
    shift: float = 5.0

    def sampler(self, name: str = "") -> SamplerChoice:
        """The settings, with the number of steps that the file's name states, if it does."""
        stated = re.search(r"(?<!\d)(\d{1,2})[ _-]?steps?(?![a-z])", name.lower())
        return SamplerChoice(
            steps=int(stated[1]) if stated and int(stated[1]) > 0 else self.steps,
            guidance=1.0,
            guidance_2=1.0,
            scheduler="euler",
            shift=self.shift,
        )


SAMPLER_PRESETS: Final[Mapping[str, SamplerPreset]] = {
    "Lightning": SamplerPreset(name_pattern=r"lightning"),
    "LightX2V": SamplerPreset(
        name_pattern=r"lightx2v|(step|cfg)[ _-]?distill|distill[ _-]?lora|\b[248][ _-]?steps?\b"
    ),
    "CausVid": SamplerPreset(name_pattern=r"causvid"),
    "AccVideo": SamplerPreset(name_pattern=r"acc[ _-]?vid(eo)?\b"),
}
"""Step-distilled LoRAs of Wan by name: all need guidance 1 and Euler steps at a shift of 5."""

_TITLES: Final = ("modelspec.title", "ss_output_name", "modelspec.description", "title", "name")
"""Metadata in which trainers write a LoRA's name."""


def read_lora_file(path: Path) -> LoraFile:
    """Reads the header of a LoRA file.

    Raises `EngineError` for what is missing, no safetensors file, damaged, or no LoRA.
    """
    header = _header(path)
    layout = _layout(path, header.tensors)
    ranks = [
        min(tensor.shape)
        for key, tensor in header.tensors.items()
        if any(factor in key for factor in _FACTORS) and tensor.shape
    ]
    if not ranks:
        raise EngineError(
            f"{path} is no LoRA: none of its {len(header.tensors)} tensors is a low-rank factor"
        )
    titles = [str(header.metadata[title]) for title in _TITLES if title in header.metadata]
    return LoraFile(
        path=path,
        layout=layout,
        rank=max(ranks),
        expert=expert_named(path.name),
        preset=preset_named(path.name, *titles),
    )


def preset_named(*names: str) -> str | None:
    """The sampler preset that a LoRA with one of these names needs; None where no name is known."""
    for name, preset in SAMPLER_PRESETS.items():
        if any(re.search(preset.name_pattern, _words(text)) for text in names):
            return name
    return None


def lora_digest(path: Path) -> str:
    """The SHA-256 digest of a file's content. Raises `EngineError` where it cannot be read."""
    digest = sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    except OSError as error:
        raise EngineError(f"the LoRA {path} cannot be read: {error.strerror}") from error
    return digest.hexdigest()


def expert_named(name: str) -> Literal["high", "low"] | None:
    """The one of two experts that the name of a LoRA file says it is for; None where it names both."""
    found = set(re.findall(r"(?<![a-z])(high|low)(?![a-z])", name.lower()))
    if len(found) != 1:
        return None
    return "high" if "high" in found else "low"


def _words(text: str) -> str:
    """Lower case, with "_" and "." as spaces, so that patterns can ask for ends of words."""
    return re.sub(r"[_.]+", " ", text.lower())


def _layout(path: Path, keys: Collection[str]) -> Layout:
    for part, method in _OTHER_METHODS.items():
        if any(part in key for key in keys):
            raise EngineError(f"{path} is {method}, not a LoRA, and cannot be loaded")
    for prefix, layout in _PREFIXES.items():
        if any(key.startswith(prefix) for key in keys):
            return layout
    first = next(iter(keys), "none")
    raise EngineError(
        f"{path} is no LoRA that can be loaded: its keys begin with none of "
        f"{', '.join(_PREFIXES)}; the first is {first}"
    )


def _header(path: Path) -> WeightsHeader:
    if not path.exists():
        raise EngineError(f"there is no LoRA file {path}")
    if path.suffix.lower() in PICKLES:
        raise EngineError(f"the LoRA {path} may hold code (a pickle) and is never read; only safetensors are")
    if path.suffix.lower() != ".safetensors":
        raise EngineError(f"{path} cannot be loaded: LoRAs are read from .safetensors files alone")
    try:
        return read_header(path)
    except EngineError as error:
        raise EngineError(f"the LoRA {error}") from error
