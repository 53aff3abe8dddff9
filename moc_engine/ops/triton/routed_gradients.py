"""Gradients through routed chunks, recomputed from the merged output and its log-sum-exp.

    p  = exp(q·k · scale - lse)          dv = Σ_q p · do
    ds = p · (do·v - delta)              dk = Σ_q ds · q · scale
    delta = Σ_d do · out                 dq = Σ_k ds · k · scale

`query_gradients` adds up dq, `key_gradients` dk and dv; here is what they have in common. There are no
atomics, so the same input gives the same bits.

Shapes: R rows (batch × heads), L queries, K slots of a query, D head width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from moc_engine.ops.triton.blocks import load_rows
from moc_engine.ops.triton.launches import Tile, capability_of, launch, padded_head
from moc_engine.ops.triton.segments import Pairs, Segment, pair_arguments


@triton.jit(do_not_specialize=["N"])
def delta_kernel(OUT, GRAD, DELTA, N, HEAD: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr):
    """DELTA (N) = Σ_d OUT · GRAD (N, HEAD) in float32."""
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    live = rows < N
    out = load_rows(OUT, rows, live, HEAD, WIDTH).to(tl.float32)
    grad = load_rows(GRAD, rows, live, HEAD, WIDTH).to(tl.float32)
    tl.store(DELTA + rows, tl.sum(out * grad, 1), mask=live)


@dataclass(frozen=True, kw_only=True, eq=False)
class Routed:
    """What the gradients through routed chunks follow from; all of it contiguous and on one device.

    q and `grad`, the gradient of the output, are (R, L, D), `lse` and `delta` (R, L) in float32. `pairs`
    are not by slot.
    """

    q: Tensor
    grad: Tensor
    lse: Tensor
    delta: Tensor
    indices_RLK: Tensor
    pairs: Pairs
    scale: float
    heads: int

    def arguments(self, segment: Segment, tile: Tile) -> dict[str, Any]:
        """What the kernels of both gradients through a segment are given, by name."""
        rows, _, slots = self.indices_RLK.shape
        return pair_arguments(self.q, segment, self.pairs, tile, rows=rows, heads=self.heads) | {
            "GRAD": self.grad,
            "LSE": self.lse,
            "DELTA": self.delta,
            "scale": self.scale,
            "SLOTS": slots,
        }


def output_dot_gradient(out_RLD: Tensor, grad_RLD: Tensor) -> Tensor:
    """The sums (R, L) over D of an output and its gradient, in float32."""
    R, L, D = out_RLD.shape
    delta = torch.empty(R, L, device=out_RLD.device, dtype=torch.float32)
    tile = launch("delta", D, out_RLD.dtype, capability_of(out_RLD.device))
    delta_kernel[(triton.cdiv(R * L, tile.rows),)](
        out_RLD, grad_RLD, delta, R * L, HEAD=D, WIDTH=padded_head(D), ROWS=tile.rows, **tile.options
    )
    return delta
