"""Trains the toon model's autoencoder on drawn pictures; a run that was ended goes on with the same curve."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moc_engine.errors import CheckpointError
from moc_engine.files import atomic_file
from moc_engine.training.toon.picture_autoencoder import (
    AutoencoderSize,
    build_autoencoder,
    decode,
    encode,
    frame_by_frame,
    reconstruction_loss,
    set_moments,
)

Pixels = NDArray[np.uint8]

TOLD: Final = 20
"""Steps between two points of the curve."""


@dataclass(frozen=True, kw_only=True)
class AutoencoderRecipe:
    """`steps` of `batch` pictures each; the learning rate rises over `warmup` steps and falls as a cosine.

    `latent_noise` is added to the latents, so that the decoder bears a denoiser's errors, and `latent_weight`
    keeps them small.
    """

    size: AutoencoderSize = field(default_factory=AutoencoderSize)
    steps: int = 1000
    batch: int = 16
    learning_rate: float = 2e-3
    warmup: int = 40
    latent_noise: float = 0.05
    latent_weight: float = 1e-4
    checkpoint_seconds: float = 60.0
    seed: int = 7

    def rate(self, step: int) -> float:
        """The learning rate of a step."""
        rise = min(1.0, (step + 1) / self.warmup)
        return self.learning_rate * rise * max(0.02, 0.5 + 0.5 * math.cos(math.pi * step / self.steps))


class AutoencoderTraining:
    """A run in `folder`: `autoencoder.pt` is its checkpoint. `curve` has (step, mean absolute error).

    `pictures` (R, Y, X, 3) are all there is; a step's batch and noise depend only on seed and step. Raises
    `CheckpointError` for a checkpoint of another recipe.
    """

    def __init__(
        self, recipe: AutoencoderRecipe, pictures: Pixels, folder: Path, *, device: torch.device
    ) -> None:
        self.recipe = recipe
        self.pictures = pictures
        self.path = folder / "autoencoder.pt"
        self.device = device
        torch.manual_seed(recipe.seed)
        self.vae = build_autoencoder(recipe.size).to(device)
        self.optimizer = torch.optim.AdamW(self.vae.parameters(), lr=recipe.learning_rate, weight_decay=0.01)
        self.step = 0
        self.curve: list[tuple[int, float]] = []
        if self.path.exists():
            self._resume()

    @property
    def done(self) -> bool:
        return self.step >= self.recipe.steps

    def run(self, *, until: float = math.inf, told: Callable[[int, float], None] = lambda *_: None) -> Any:
        """Trains to the end, or until the clock `time.monotonic` says `until`; returns the autoencoder.

        At the end its config has the mean and deviation of the latents.
        """
        saved = time.monotonic()
        with frame_by_frame(self.vae):
            while not self.done and time.monotonic() < until:
                error = self.step_once()
                if self.step % TOLD == 0:
                    told(self.step, error)
                # what is done is saved below, with its moments
                if not self.done and time.monotonic() - saved > self.recipe.checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()
            if self.done:
                with torch.no_grad():
                    set_moments(self.vae, encode(self.vae, self._batch(self.recipe.steps, 256)))
        self.save()
        return self.vae

    @torch.no_grad()
    def error(self, pictures: Pixels) -> float:
        """The mean absolute error of colours within -1 and 1 over `pictures`."""
        total = 0.0
        with frame_by_frame(self.vae):
            for start in range(0, len(pictures), 64):
                x = as_tensor(pictures[start : start + 64], self.device)
                total += float((decode(self.vae, encode(self.vae, x)) - x).abs().mean(dim=(1, 2, 3)).sum())
        return total / len(pictures)

    def save(self) -> None:
        buffer = io.BytesIO()  # torch reports a full disk as a RuntimeError
        torch.save(
            {
                "recipe": asdict(self.recipe),
                "step": self.step,
                "curve": self.curve,
                "model": self.vae.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "moments": (list(self.vae.config.latents_mean), list(self.vae.config.latents_std)),
            },
            buffer,
        )
        with atomic_file(self.path) as part:
            part.write_bytes(buffer.getbuffer())

    def _resume(self) -> None:
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise CheckpointError(f"{self.path} is damaged, or no checkpoint") from error
        if state["recipe"] != asdict(self.recipe):
            raise CheckpointError(f"{self.path} is of another recipe")
        self.vae.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        mean, std = state["moments"]
        self.vae.register_to_config(latents_mean=mean, latents_std=std)
        self.step = int(state["step"])
        self.curve = [(int(step), float(error)) for step, error in state["curve"]]

    def step_once(self) -> float:
        """Takes a step, within `frame_by_frame` or not; returns the mean absolute error of colours."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.rate(self.step)
        x = self._batch(self.step, self.recipe.batch)
        latents = encode(self.vae, x)
        generator = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + self.step)
        noise = torch.randn(latents.shape, generator=generator).to(latents)
        rebuilt = decode(self.vae, latents + self.recipe.latent_noise * noise)
        loss = reconstruction_loss(x, rebuilt) + self.recipe.latent_weight * latents.square().mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.vae.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        error = float((x - rebuilt.detach()).abs().mean())
        if self.step % TOLD == 0:
            self.curve.append((self.step, error))
        return error

    def _batch(self, step: int, count: int) -> Tensor:
        rng = np.random.default_rng((self.recipe.seed, step))
        return as_tensor(self.pictures[rng.integers(0, len(self.pictures), count)], self.device)


def as_tensor(pictures_RYX3: Pixels, device: torch.device) -> Tensor:
    """Pictures (R, 3, Y, X) within -1 and 1."""
    return torch.from_numpy(pictures_RYX3).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1.0
