"""Previews of latents without decoding them: colours as a linear function of a latent's channels.

The function is fitted once for an autoencoder, by least squares, to small moving pictures that it encodes and
decodes, and is kept on disk under the name of its latents.

Shapes: C channels, F latent frames, H and W latent sides.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from moc_engine.clip import Frame
from moc_engine.files import write_text
from moc_engine.machine import cache_folder
from moc_engine.models.pixels import as_frame, resized
from moc_engine.models.video_autoencoder import VideoAutoencoder

PICTURES: Final = 12
"""Moving pictures that the colours are fitted to."""

SIDE: Final = 8
"""Their sides in latents: 12 pictures of two latent frames are 1,536 colours for at most 49 unknowns each."""

LONGER_SIDE: Final = 256
"""Pixels along the longer side of a preview, at most."""

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


class LatentPreview:
    """Pictures of an autoencoder's latents, whose colours are fitted when the first one is asked for."""

    def __init__(self, codec: VideoAutoencoder) -> None:
        self._codec = codec
        self._colours: LatentColours | None = None

    def picture(self, latents_CFHW: Tensor) -> Frame:
        """The latent frame in the middle of a shot, at most `LONGER_SIDE` pixels long."""
        if self._colours is None:
            self._colours = latent_colours(self._codec, cache_folder() / "latent-colours")
        small = as_frame(self._colours.picture(latents_CFHW[:, latents_CFHW.shape[1] // 2]))
        over = min(self._codec.over_space, LONGER_SIDE / max(small.shape[:2]))
        height, width = (max(1, round(side * over)) for side in small.shape[:2])
        return resized(small, (width, height))


def latent_colours(codec: VideoAutoencoder, folder: Path | None = None) -> LatentColours:
    """The colours of an autoencoder's latents, from `folder` where they are kept there, fitted else."""
    file = None if folder is None else folder / f"{codec.latent_space}.json"
    if file is not None:
        try:
            kept = json.loads(file.read_bytes())
            if kept["version"] == _VERSION:
                return LatentColours(
                    weights_3C=torch.tensor(kept["weights"]).view(3, codec.channels),
                    bias_3=torch.tensor(kept["bias"]).view(3),
                )
        except (OSError, ValueError, KeyError, TypeError, RuntimeError):  # fitted again
            pass
    colours = fit_colours(codec)
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
def fit_colours(codec: VideoAutoencoder, seed: int = 0) -> LatentColours:
    """Least squares from latents to the mean colours of the pixels that each decodes to."""
    latents, colours = [], []
    for nth in range(PICTURES):
        own = sample_latents(codec, seed * PICTURES + nth)
        latents.append(own.flatten(1).T.float().cpu())
        colours.append(mean_colours(codec, own).flatten(1).T.float().cpu())
    known = torch.cat(latents).double()
    known = torch.cat((known, known.new_ones(len(known), 1)), dim=1)
    solved = torch.linalg.lstsq(known, torch.cat(colours).double(), driver="gelsd").solution
    return LatentColours(weights_3C=solved[:-1].T.float().contiguous(), bias_3=solved[-1].float())


@torch.no_grad()
def sample_latents(codec: VideoAutoencoder, seed: int) -> Tensor:
    """Latents (C, 2, SIDE, SIDE) of a small moving picture of soft and hard colours."""
    generator = torch.Generator().manual_seed(seed)
    side = SIDE * codec.over_space
    coarse = torch.rand(1, 3, 2 + seed % 5, 2 + seed % 5, generator=generator)
    picture = interpolate(coarse, (2 * side, 2 * side), mode="bilinear" if seed % 2 else "nearest")
    picture = (picture + torch.randn(picture.shape, generator=generator) * 0.02).clamp(0, 1) * 2 - 1
    frames = codec.frames_of(2)
    step = side // (2 * frames)
    video = torch.stack([picture[0, :, n * step : n * step + side, :side] for n in range(frames)], dim=1)
    return codec.encoded(video[None])[0]


@torch.no_grad()
def mean_colours(codec: VideoAutoencoder, latents_CFHW: Tensor) -> Tensor:
    """The mean colours (3, F, H, W) of the pixels that each latent decodes to."""
    of_latents = [1, *[codec.over_time] * (latents_CFHW.shape[1] - 1)]
    pieces = codec.decoded(latents_CFHW).split(of_latents, dim=1)
    return torch.stack([avg_pool2d(piece.float().mean(dim=1), codec.over_space) for piece in pieces], dim=1)
