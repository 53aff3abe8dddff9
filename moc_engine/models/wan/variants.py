"""The published Wan models: their configurations, and what each is sampled with. No torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

CONFIGS: Final = Path(__file__).parent / "configs"
"""The published configurations of the parts: a folder for each, as diffusers and transformers read it."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A published model: folders of configurations, and what its model_index.json says besides.

    `shift` is the flow shift that its makers sample with. `index` are values of its pipeline.
    `transformer_class` is diffusers' class of its transformers.
    """

    name: str
    title: str
    transformer: str
    vae: str
    shift: float
    pipeline: str = "WanPipeline"
    experts: int = 1
    index: Mapping[str, Any] = field(default_factory=dict)

    @property
    def transformer_class(self) -> str:
        return "WanVACETransformer3DModel" if self.pipeline == "WanVACEPipeline" else "WanTransformer3DModel"


VARIANTS: Final[Mapping[str, Variant]] = {
    variant.name: variant
    for variant in (
        Variant(
            name="wan2.1-t2v-1.3b",
            title="Wan 2.1 T2V 1.3B",
            transformer="t2v-1.3b",
            vae="wan2.1",
            shift=3.0,
        ),
        Variant(
            name="wan2.1-t2v-14b", title="Wan 2.1 T2V 14B", transformer="t2v-14b", vae="wan2.1", shift=5.0
        ),
        Variant(
            name="wan2.1-i2v-14b",
            title="Wan 2.1 I2V 14B",
            transformer="i2v-14b",
            vae="wan2.1",
            shift=3.0,
            pipeline="WanImageToVideoPipeline",
        ),
        Variant(
            name="wan2.1-flf2v-14b",
            title="Wan 2.1 FLF2V 14B",
            transformer="flf2v-14b",
            vae="wan2.1",
            shift=16.0,
            pipeline="WanImageToVideoPipeline",
        ),
        Variant(
            name="wan2.1-vace-1.3b",
            title="Wan 2.1 VACE 1.3B",
            transformer="vace-1.3b",
            vae="wan2.1",
            shift=16.0,
            pipeline="WanVACEPipeline",
        ),
        Variant(
            name="wan2.1-vace-14b",
            title="Wan 2.1 VACE 14B",
            transformer="vace-14b",
            vae="wan2.1",
            shift=16.0,
            pipeline="WanVACEPipeline",
        ),
        Variant(
            name="wan2.2-vace-fun-a14b",
            title="Wan 2.2 VACE-Fun A14B",
            transformer="vace-14b",
            vae="wan2.1",
            shift=12.0,
            pipeline="WanVACEPipeline",
            experts=2,
            index={"boundary_ratio": 0.875},
        ),
        Variant(
            name="wan2.2-ti2v-5b",
            title="Wan 2.2 TI2V 5B",
            transformer="ti2v-5b",
            vae="wan2.2",
            shift=5.0,
            index={"expand_timesteps": True},
        ),
        Variant(
            name="wan2.2-t2v-a14b",
            title="Wan 2.2 T2V A14B",
            transformer="t2v-14b",
            vae="wan2.1",
            shift=12.0,
            experts=2,
            index={"boundary_ratio": 0.875},
        ),
        Variant(
            name="wan2.2-i2v-a14b",
            title="Wan 2.2 I2V A14B",
            transformer="i2v-a14b",
            vae="wan2.1",
            shift=5.0,
            pipeline="WanImageToVideoPipeline",
            experts=2,
            index={"boundary_ratio": 0.9},
        ),
    )
}

VAES: Final = {"wan2.1": "Wan 2.1 VAE", "wan2.2": "Wan 2.2 VAE"}
TEXT_ENCODER: Final = "umt5-xxl"

TWO_EXPERTS: Final = {
    "wan2.1-t2v-14b": "wan2.2-t2v-a14b",
    "wan2.1-vace-14b": "wan2.2-vace-fun-a14b",
}
"""Variants of one expert and of two whose transformers have the same shapes."""


@cache
def transformer_config(transformer: str) -> Mapping[str, Any]:
    """The published config.json of a transformer, by the name of its folder."""
    content: dict[str, Any] = json.loads((CONFIGS / "transformer" / transformer / "config.json").read_bytes())
    return content
