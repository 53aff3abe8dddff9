"""What clips must be like to train a model on them, told before it is loaded. No torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from moc_engine.errors import ModelMismatch
from moc_engine.models.caption_limit import LeftOut
from moc_engine.models.registry import family_entry
from moc_engine.models.sizes import model_size
from moc_engine.sources.parts import PipelineParts

ASPECTS: Final = (16 / 9, 4 / 3, 1.0)
"""Shapes of landscape pictures beside the model's own; stories in portrait have them turned."""


@dataclass(frozen=True, kw_only=True)
class ClipNeeds:
    """Clips of `rate` frames a second, of 1 + n · `frame_step` frames up to `frames`.

    `size` (width, height) is that of a landscape picture; other shapes have at most as many pixels, and sides
    that are multiples of `side`. Latents take `latent_bytes` for each pixel of a latent frame. `left_out`
    tells what of a global caption and a shot's own is not read; None where that is not known.
    """

    rate: float = 16.0
    frame_step: int = 4
    frames: int = 81
    size: tuple[int, int] = (832, 480)
    side: int = 16
    latent_bytes: float = 1.0
    left_out: Callable[[str, str], LeftOut | None] | None = None

    def frames_of(self, seconds: float) -> int:
        """The frames that are used of so many seconds: 0 where there are too few."""
        there = math.floor(seconds * self.rate + 0.01)
        groups = (min(there, self.frames) - 1) // self.frame_step
        return 1 + groups * self.frame_step if groups >= 1 or (self.frame_step == 1 and there >= 1) else 0

    def bytes_of(self, frames: int, size: tuple[int, int]) -> int:
        """The bytes of the latents of so many frames of a size."""
        return round((1 + (frames - 1) // self.frame_step) * size[0] * size[1] * self.latent_bytes)

    def sizes(self) -> tuple[tuple[int, int], ...]:
        """The sizes that stories may have, landscape and portrait."""
        width, height = self.size
        pixels = width * height
        found = [(self._multiple(width), self._multiple(height))]
        for aspect in ASPECTS:
            found.append(
                (self._multiple(math.sqrt(pixels * aspect)), self._multiple(math.sqrt(pixels / aspect)))
            )
        turned = [(high, wide) for wide, high in found]
        return tuple(dict.fromkeys([*found, *turned]))

    def _multiple(self, side: float) -> int:
        return max(1, math.floor(side / self.side + 1e-6)) * self.side


def needs_of(
    model: PipelineParts, *, size: tuple[int, int] | None = None, frames: int | None = None
) -> ClipNeeds:
    """The needs of a model; `size` and `frames` replace those that it was trained on.

    Raises `ModelMismatch` for a model of a family that cannot be trained on footage, `ValueError` naming an
    argument.
    """
    entry, parts = family_entry(model.pipeline_class), model_size(model)
    if entry.encoders is None or entry.own_settings is None:
        raise ModelMismatch(f"{model.source} cannot be trained on footage: it is a {model.pipeline_class}")
    own = entry.own_settings(model)
    if own.fps is None or own.size is None or parts is None:
        raise ModelMismatch(f"{model.source} cannot be trained on footage: its configuration is not whole")
    side = parts.pixels * max(parts.patch[1:])
    left_out = entry.left_out
    return checked(
        ClipNeeds(
            rate=own.fps,
            frame_step=own.frame_step,
            frames=frames or own.frames or 81,
            size=size or own.size,
            side=side,
            latent_bytes=4 * parts.channels / parts.pixels**2,
            left_out=None if left_out is None else lambda style, own: left_out(model, style, own),
        )
    )


def checked(needs: ClipNeeds) -> ClipNeeds:
    """The same needs. Raises `ValueError` naming a size or a number of frames that no clip can have."""
    if min(needs.size) < needs.side:
        raise ValueError(f"size: sides must be {needs.side} or more, got {needs.size[0]}x{needs.size[1]}")
    if needs.frames < 1 + needs.frame_step:
        raise ValueError(f"frames: must be {1 + needs.frame_step} or more, got {needs.frames}")
    return needs
