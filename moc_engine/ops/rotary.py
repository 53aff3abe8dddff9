"""Rotary position embedding of queries and keys (arXiv 2104.09864), on the pairs (x[2i], x[2i + 1])."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


def axis_angles(positions: Sequence[Tensor], widths: Sequence[int], base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines (..., D / 2) in float32 of tokens at any positions (...) on several axes.

    Each axis turns as many numbers of a head as its entry of `widths`, by frequencies of the `base`. Worked
    out in float64, on the CPU where the device has none.
    """
    device = positions[0].device
    if device.type == "mps":  # has no float64
        cos, sin = axis_angles([axis.to("cpu") for axis in positions], widths, base)
        return cos.to(device), sin.to(device)
    angles = [
        axis.double()[..., None]
        * (1.0 / base ** (torch.arange(0, dim, 2, dtype=torch.float64, device=device) / dim))
        for axis, dim in zip(torch.broadcast_tensors(*positions), widths, strict=True)
    ]
    angle = torch.cat(angles, dim=-1)
    return angle.cos().float(), angle.sin().float()


def apply_rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotates the pairs (x[2i], x[2i + 1]) of x (..., D) by angles (..., D / 2); keeps the dtype."""
    return rotate_pairs(x, torch.complex(cos, sin))


def rotate_pairs(x: Tensor, turns: Tensor) -> Tensor:
    """As `apply_rotary`, by cosines and sines as complex numbers (..., D / 2).

    One complex product a pair is many times faster than four real ones.
    """
    pairs = (x if x.dtype == torch.float64 else x.float()).unflatten(-1, (-1, 2)).contiguous()
    rotated = torch.view_as_complex(pairs) * turns
    return torch.view_as_real(rotated).flatten(-2).to(x.dtype)


def rotate_into(out: Tensor, x: Tensor, turns: Tensor) -> Tensor:
    """Writes `rotate_pairs` into `out`, contiguous and shaped as x; without new memory in float32 and 64."""
    if x.dtype not in (torch.float32, torch.float64) or turns.dtype.to_real() != x.dtype:
        return out.copy_(rotate_pairs(x, turns))
    if x.stride(-1) != 1 or any(step % 2 for step in (x.storage_offset(), *x.stride()[:-1])):
        x = x.contiguous()  # pairs of numbers are not read as complex ones there
    pairs, rotated = (torch.view_as_complex(part.unflatten(-1, (-1, 2))) for part in (x, out))
    torch.mul(pairs, turns, out=rotated)
    return out


@dataclass(frozen=True, kw_only=True, eq=False)
class Rotary:
    """The rotary embedding of a history's keys: `cos` and `sin` (T, D / 2) of its T tokens.

    They lie on the device of the queries, in float32 or float64.
    """

    cos: Tensor
    sin: Tensor

    def __call__(self, keys: Tensor, tokens: Tensor) -> Tensor:
        """Keys (..., n, D) that stand at the history tokens (..., n), rotated."""
        return apply_rotary(keys, self.cos[tokens], self.sin[tokens])
