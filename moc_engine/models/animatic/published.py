"""The settings that the embedded model is rendered with, and what it can do. No torch."""

from __future__ import annotations

from typing import Final

from moc_engine.abilities import Ability
from moc_engine.config import SamplerConfig

SAMPLER: Final = SamplerConfig(guidance=2.5, guidance_floor=0.5)
ABILITIES: Final[frozenset[Ability]] = frozenset({"processes"})
