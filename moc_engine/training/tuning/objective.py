"""The flow-matching loss of noisy shots, each by itself.

x = (1 - σ) x0 + σ ε; the model predicts the velocity ε - x0 (Lipman et al., "Flow Matching", arXiv
2210.02747), with noise levels σ that are independent between shots (LCT, arXiv 2503.10589). Errors have no
weight but the density of the noise levels, see `noise_levels`. Clean copies have no loss.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moc_engine.training.tuning.batch import TuningBatch
from moc_engine.training.tuning.draws import TuningDraw


def flow_losses(predicted: Tensor, batch: TuningBatch, draw: TuningDraw) -> Tensor:
    """The mean squared errors (B, M) of the velocities predicted of noisy shots, in float32.

    The loss of a step is their mean: a short shot counts as much as a long one.
    """
    squares = (predicted.float() - draw.velocity(batch.latents)).square()
    by_frame = squares.mean(dim=(2, 4, 5))
    frames = torch.tensor(batch.frames)[:, list(draw.denoised)].to(by_frame.device)
    real = torch.arange(by_frame.shape[2], device=by_frame.device) < frames[..., None]
    return by_frame.where(real, 0.0).sum(dim=2) / frames
