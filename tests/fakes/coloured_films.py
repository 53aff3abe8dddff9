"""Drawn films whose characters have colours that no caption tells: memory alone knows them.

They are drawn on the grid of latents, one colour of 16 channels a cell, since pictures hardly change the
latents of an autoencoder with random weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from moc_engine.training.data.footage.dataset import CacheWriter, TrainingShot, TrainingStory
from tests.fakes.tuning_runs import tiny_identity
from tests.fakes.wan_folders import TEXT_WIDTH

SIDE, BODY, FRAMES, SHOTS = 8, 6, 2, 3
COLOURS: Final = 1.5 * torch.randn(4, 16, generator=torch.Generator().manual_seed(3))
"""The colours (4, 16) of characters."""


def films_folder(folder: Path, base: Path, films: int = 12) -> Path:
    """A cache of films for a tiny model, in each of which one character walks through three shots."""
    draws = torch.Generator().manual_seed(4)
    states = torch.randn(SHOTS, 3, TEXT_WIDTH, generator=draws)  # the same captions in all films
    with CacheWriter(folder, tiny_identity(base), torch.randn(1, TEXT_WIDTH, generator=draws)) as cache:
        for number in range(films):
            shots = tuple(
                TrainingShot(
                    latents=_drawn(COLOURS[number % len(COLOURS)], draws),
                    states=states[shot],
                    caption=f"a fox runs {shot}",
                    seconds=5 / 16,
                )
                for shot in range(SHOTS)
            )
            cache.add(TrainingStory(name=f"film {number:02}", style_states=None, shots=shots))
    return folder


def _drawn(colour: Tensor, draws: torch.Generator) -> Tensor:
    """One shot (16, F, H, W): a body of the colour at a random place, on an empty ground."""
    latents = 0.05 * torch.randn(16, FRAMES, SIDE, SIDE, generator=draws)
    x, y = (int(place) for place in torch.randint(0, SIDE - BODY + 1, (2,), generator=draws))
    latents[:, :, y : y + BODY, x : x + BODY] += colour[:, None, None, None]
    return latents


def recalled(clean_NCFHW: Tensor, truth_NCFHW: Tensor) -> float:
    """The share of shots whose body's colour is nearest to its own of all characters'."""
    body = truth_NCFHW.abs().mean(dim=1, keepdim=True) > 0.4
    means = (clean_NCFHW * body).sum(dim=(2, 3, 4)) / body.sum(dim=(2, 3, 4))
    own = (truth_NCFHW * body).sum(dim=(2, 3, 4)) / body.sum(dim=(2, 3, 4))
    said, right = (torch.cdist(x, COLOURS).argmin(dim=1) for x in (means, own))
    return float((said == right).float().mean())
