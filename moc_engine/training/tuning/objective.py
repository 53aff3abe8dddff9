"""The flow-matching loss of noisy shots, each by itself.

x = (1 - σ) x0 + σ ε; the model predicts the velocity ε - x0 (Lipman et al., "Flow Matching", arXiv
2210.02747), with noise levels σ that are independent between shots (LCT, arXiv 2503.10589). Errors have
no weight but the density of the noise levels, see `noise_levels`, and the emphasis of places that a cache may
have. Clean copies have no loss.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moc_engine.training.tuning.batch import TuningBatch
from moc_engine.training.tuning.draws import TuningDraw


def flow_losses(predicted: Tensor, batch: TuningBatch, draw: TuningDraw, *, emphasis: float = 0.0) -> Tensor:
    """The mean squared errors (B, M) of the velocities predicted of noisy shots, in float32.

    The loss of a step is their mean: a short shot counts as much as a long one. Within a shot the error of a
    place counts 1 + `emphasis` times as much where the batch's own emphasis is 1.
    """
    squares = (predicted.float() - draw.velocity(batch.latents)).square()
    if emphasis and batch.emphasis is not None:
        squares = squares * _weights(batch.emphasis[:, list(draw.denoised)], emphasis, batch, draw)
    by_frame = squares.mean(dim=(2, 4, 5))
    frames, real = _real_frames(batch, draw)
    return by_frame.where(real, 0.0).sum(dim=2) / frames


def _real_frames(batch: TuningBatch, draw: TuningDraw) -> tuple[Tensor, Tensor]:
    """The lengths (B, M) of noisy shots, and which frames (B, M, F) lie within them."""
    frames = torch.tensor(batch.frames)[:, list(draw.denoised)].to(batch.latents.device)
    return frames, torch.arange(batch.latents.shape[3], device=frames.device) < frames[..., None]


def _weights(emphasis_BMFHW: Tensor, strength: float, batch: TuningBatch, draw: TuningDraw) -> Tensor:
    """The weights (B, M, 1, F, H, W) of places, with a mean of 1 over each shot."""
    frames, real = _real_frames(batch, draw)
    weights = (1.0 + strength * emphasis_BMFHW) * real[..., None, None]
    places = frames * weights.shape[-2] * weights.shape[-1]
    means = weights.sum(dim=(2, 3, 4)) / places
    return (weights / means[..., None, None, None])[:, :, None]
