"""One softmax over the union of spans and routed chunks, forward and backward.

    spans     dense: all queries of a shot attend to them
    tiles     routed: queries gathered by chunk

Outputs merge by log-sum-exp, which also gives the share of attention of each. All is done in few and large
operations, block by block, so that tensors fit a cache and memory grows with the queries alone. Every
gather has one writer and every sum one order, so the same input gives the same bits.

Shapes: B batch, H heads, L queries, T keys of a source, K routed chunks per query, D head width;
R = B · H rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from moc_engine.ops.attended import Attended
from moc_engine.ops.dense_pass import add_dense_gradients, dense_pass
from moc_engine.ops.tile_pass import add_routed_gradients, merge_routed, plan_blocks


def attend(
    attended: Attended, q_BHLD: Tensor, sources: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor], Tensor]:
    """The output (B, H, L, D), the mass of each span (B, H, its queries) and of each index (B, H, L, K)."""
    B, H, _, _ = q_BHLD.shape
    rows = (x if x.stride(-1) == 1 else x.contiguous() for x in sources)
    given = (x.expand(B, -1, -1, -1) for x in rows)
    out, mass, *span_mass = _Union.apply(attended, q_BHLD.flatten(0, 1).contiguous(), *given)  # type: ignore[no-untyped-call]
    return out.unflatten(0, (B, H)), [x.unflatten(0, (B, H)) for x in span_mass], mass.unflatten(0, (B, H))


class _Union(torch.autograd.Function):
    """One softmax over spans and tiles: queries (R, L, D), sources (B, H, T, D), keys and values in turn."""

    @staticmethod
    def forward(ctx: Any, attended: Attended, q: Tensor, *sources: Tensor) -> tuple[Tensor, ...]:
        out, lse, span_lses = dense_pass(attended, q, sources)
        mass = lse.new_zeros(attended.indices_RLK.shape)
        history = sources[2 * attended.history : 2 * attended.history + 2]
        ctx.attended, ctx.plan = attended, []
        for block, tiles in plan_blocks(attended.indices_RLK, attended.offsets):
            merge_routed(attended, block, tiles, q, history, out, lse, mass)
            if any(ctx.needs_input_grad):
                ctx.plan.append((block, tiles))
        span_mass = [
            (part - lse[:, slice(*span.queries)]).exp_()
            for part, span in zip(span_lses, attended.spans, strict=True)
        ]
        out = out.to(q.dtype)
        ctx.save_for_backward(q, out, lse, *sources)
        ctx.mark_non_differentiable(mass, *span_mass)
        return out, mass, *span_mass

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        q, out, lse, *sources = ctx.saved_tensors
        attended: Attended = ctx.attended
        grad = grads[0].contiguous()
        dq = torch.zeros_like(q, dtype=lse.dtype)
        dsources = [
            torch.zeros(x.shape, dtype=lse.dtype, device=x.device) if wanted else None
            for x, wanted in zip(sources, ctx.needs_input_grad[2:], strict=True)
        ]
        add_dense_gradients(attended, grad, q, out, lse, sources, dq, dsources)
        history = slice(2 * attended.history, 2 * attended.history + 2)
        for block, tiles in ctx.plan:
            add_routed_gradients(
                attended, block, tiles, grad, q, out, lse, sources[history], dq, dsources[history]
            )
        return None, dq.to(q.dtype), *(d if d is None else d.to(q.dtype) for d in dsources)
