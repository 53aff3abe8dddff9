"""The backend `triton`: the library's dense kernels for mandatory keys, Triton kernels for routed chunks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from moc_engine.ops.attended import Attended, history_attention, layout_attention
from moc_engine.ops.backend import AttentionBackend, Need
from moc_engine.ops.triton.backward import gradients
from moc_engine.ops.triton.forward import forward
from moc_engine.ops.triton.kernel_options import Options
from moc_engine.ops.triton.launches import INTERPRETED, capability_of, launch
from moc_engine.ops.triton.merging import shares_of
from moc_engine.ops.triton.segment_merging import segmented_attention
from moc_engine.ops.triton.segments import uses_tma

DTYPES = frozenset((torch.float32, torch.bfloat16, torch.float16))


def attend(
    attended: Attended, q_BHLD: Tensor, sources: Sequence[Tensor], *, options: Options
) -> tuple[Tensor, list[Tensor], Tensor]:
    """The output (B, H, L, D), the mass of each span (B, H, its queries) and of each index (B, H, L, K)."""
    B, H, _, _ = q_BHLD.shape
    out, lse_RL, slot_lse, *span_lses = _Attention.apply(attended, options, q_BHLD, *sources)  # type: ignore[no-untyped-call]
    lse_BHL = lse_RL.unflatten(0, (B, H))
    shares = [
        (part - lse_BHL[:, :, slice(*span.queries)]).exp()
        for part, span in zip(span_lses, attended.spans, strict=True)
    ]
    return out, shares, shares_of(slot_lse, lse_RL).unflatten(0, (B, H))


class _Attention(torch.autograd.Function):
    """One softmax over spans and routed chunks: its output, and log-sum-exps, which have no gradient."""

    @staticmethod
    def forward(
        ctx: Any, attended: Attended, options: Options, q_BHLD: Tensor, *sources: Tensor
    ) -> tuple[Tensor, ...]:
        done = forward(attended, q_BHLD, sources, options, gradients=any(ctx.needs_input_grad))
        running = done.running
        ctx.attended, ctx.options, ctx.pairs, ctx.pieces = attended, options, done.row_pairs, done.pieces
        ctx.save_for_backward(q_BHLD, running.out_BHLD, running.lse_RL, *sources)
        lses = running.lse_RL, running.slot_lse_RLK, *done.lses
        ctx.mark_non_differentiable(*lses)
        ctx.set_materialize_grads(False)
        return running.out_BHLD, *lses

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_BHLD: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        q, out, lse, *sources = ctx.saved_tensors
        if grad_BHLD is None:
            return (None,) * (3 + len(sources))
        wanted = ctx.needs_input_grad[2:]
        found = gradients(
            ctx.attended, q, sources, out, lse, grad_BHLD, ctx.pieces, ctx.pairs, wanted, ctx.options
        )
        return None, None, *found


def triton_backend(options: Options) -> AttentionBackend:
    """The backend with given bounds of memory."""
    by_options = partial(attend, options=options)
    return AttentionBackend(
        name="triton",
        over_layout=partial(layout_attention, by_options),
        over_history=partial(history_attention, by_options),
        over_segments=segmented_attention,
        devices=frozenset({"cuda", "cpu"} if INTERPRETED else {"cuda"}),
        dtypes=DTYPES,
        far_history=True,
        shared_history=True,
        variant=variant,
    )


def variant(need: Need) -> str:
    """How keys and values are loaded: by TMA, or plainly where device or build lack it; "" where unknown."""
    if need.work is None or not (INTERPRETED or torch.cuda.is_available()):
        return ""
    device = torch.device("cpu" if INTERPRETED else "cuda")
    head = need.work.head_size
    tile = launch("routed", head, need.dtype or torch.bfloat16, capability_of(device))
    return "TMA" if uses_tma(tile, head) else "plain loads"


TRITON = triton_backend(Options())
