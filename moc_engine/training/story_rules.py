"""What the shots of a batch of stories may attend to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from moc_engine.config import RoutingConfig


@dataclass(frozen=True, kw_only=True)
class StoryRules:
    """What the shots of a batch may attend to.

    `routing` is None for dense attention to all candidates. `candidates` and `pinned` (B, N, N) say which
    shots (last axis) a shot may select from, and which it must attend to; None: all earlier ones, and none.
    A `seed` enables the drop-off and drop-in of `routing`: each layer draws from its own, so that a layer
    which is computed again chooses the same. Raises `ValueError` for a `full_below`, since a stage of
    training is routed or dense as a whole.
    """

    routing: RoutingConfig | None
    candidates: Tensor | None = None
    pinned: Tensor | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        below = 0 if self.routing is None else self.routing.full_below
        if below != 0:
            raise ValueError(f"full_below: training routes all shots or none; must be 0, got {below!r}")

    @cached_property
    def most_pinned(self) -> int:
        """How many earlier shots a shot pins at most; read from the device once a step."""
        return 0 if self.pinned is None else int(self.pinned.tril(-1).sum(dim=-1).max())

    def generator(self, layer: int) -> torch.Generator | None:
        """What a layer draws its drop-off and drop-in from; None without a seed."""
        return None if self.seed is None else torch.Generator().manual_seed((self.seed + layer) % 2**63)

    def to(self, device: torch.device) -> StoryRules:
        """The same rules on a device."""
        candidates, pinned = (x if x is None else x.to(device) for x in (self.candidates, self.pinned))
        return replace(self, candidates=candidates, pinned=pinned)
