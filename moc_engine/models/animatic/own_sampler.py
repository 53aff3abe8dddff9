"""The settings that the embedded model is rendered with. No torch."""

from __future__ import annotations

from typing import Final

from moc_engine.config import SamplerConfig

SAMPLER: Final = SamplerConfig(guidance=2.5, guidance_floor=0.5)
