"""Previews of latents without decoding them: colours as a linear function of a latent's channels.

The function is fitted once for an autoencoder, by least squares, to small moving pictures that it encodes and
decodes, and is kept on disk under the name of its latents.

Shapes: C channels, F latent frames, H and W latent sides.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from moc_engine.files import write_text
from moc_engine.models.wan.autoencoder import latent_space
from moc_engine.models.wan.decoding import decoded_pieces, normalised

PICTURES: Final = 12
"""Moving pictures that the colours are fitted to."""

SIDE: Final = 8
"""Their sides in latents: 12 pictures of two latent frames are 1,536 colours for at most 49 unknowns each."""

_VERSION: Final = 1


@dataclass(frozen=True, kw_only=True, eq=False)
class LatentColours:
    """Red, green and blue within -1 and 1 as weights (3, C) of a latent's channels and a bias (3,)."""

    weights_3C: Tensor
    bias_3: Tensor

    def picture(self, latents_CHW: Tensor) -> Tensor:
        """The colours (3, H, W) of one latent frame, normalised, on the CPU."""
        colours = torch.einsum("oc,chw->ohw", self.weights_3C, latents_CHW.float().cpu())
        return (colours + self.bias_3[:, None, None]).clamp(-1.0, 1.0)


def latent_colours(vae: Any, folder: Path | None = None) -> LatentColours:
    """The colours of an autoencoder's latents, from `folder` where they are kept there, fitted else."""
    file = None if folder is None else folder / f"{latent_space(vae)}.json"
    if file is not None:
        try:
            kept = json.loads(file.read_bytes())
            if kept["version"] == _VERSION:
                return LatentColours(
                    weights_3C=torch.tensor(kept["weights"]).view(3, int(vae.config.z_dim)),
                    bias_3=torch.tensor(kept["bias"]).view(3),
                )
        except (OSError, ValueError, KeyError, TypeError, RuntimeError):  # fitted again
            pass
    colours = fit_colours(vae)
    if file is not None:
        record = {
            "version": _VERSION,
            "weights": colours.weights_3C.tolist(),
            "bias": colours.bias_3.tolist(),
        }
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps(record))
        except OSError:  # a full or read-only disk costs a fit at the next start, not the render
            pass
    return colours


@torch.no_grad()
def fit_colours(vae: Any, seed: int = 0) -> LatentColours:
    """Least squares from latents to the mean colours of the pixels that each decodes to."""
    latents, colours = [], []
    for nth in range(PICTURES):
        own = sample_latents(vae, seed * PICTURES + nth)
        latents.append(own.flatten(1).T.float().cpu())
        colours.append(mean_colours(vae, own).flatten(1).T.float().cpu())
    known = torch.cat(latents).double()
    known = torch.cat((known, known.new_ones(len(known), 1)), dim=1)
    solved = torch.linalg.lstsq(known, torch.cat(colours).double(), driver="gelsd").solution
    return LatentColours(weights_3C=solved[:-1].T.float().contiguous(), bias_3=solved[-1].float())


@torch.no_grad()
def sample_latents(vae: Any, seed: int) -> Tensor:
    """Normalised latents (C, 2, SIDE, SIDE) of a small moving picture of soft and hard colours."""
    generator = torch.Generator().manual_seed(seed)
    side = SIDE * int(vae.config.scale_factor_spatial)
    coarse = torch.rand(1, 3, 2 + seed % 5, 2 + seed % 5, generator=generator)
    picture = interpolate(coarse, (2 * side, 2 * side), mode="bilinear" if seed % 2 else "nearest")
    picture = (picture + torch.randn(picture.shape, generator=generator) * 0.02).clamp(0, 1) * 2 - 1
    frames = 1 + int(vae.config.scale_factor_temporal)
    step = side // (2 * frames)
    video = torch.stack([picture[0, :, n * step : n * step + side, :side] for n in range(frames)], dim=1)
    encoded = vae.encode(video[None].to(vae.device, vae.dtype)).latent_dist.mode()[0]
    return normalised(vae, encoded)


@torch.no_grad()
def mean_colours(vae: Any, latents_CFHW: Tensor) -> Tensor:
    """The mean colours (3, F, H, W) of the pixels that each latent decodes to."""
    ratio = int(vae.config.scale_factor_spatial)
    pieces = [avg_pool2d(piece.float().mean(dim=1), ratio) for piece in decoded_pieces(vae, latents_CFHW)]
    return torch.stack(pieces, dim=1)
