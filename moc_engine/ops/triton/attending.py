"""The backend `triton`: the library's dense kernels for mandatory keys, Triton kernels for routed chunks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from moc_engine.ops.attended import Attended, history_attention, layout_attention
from moc_engine.ops.backend import AttentionBackend, Need
from moc_engine.ops.triton.forward import Options, forward
from moc_engine.ops.triton.launches import INTERPRETED, capability_of, launch
from moc_engine.ops.triton.merging import shares_of
from moc_engine.ops.triton.segments import uses_tma

DTYPES = frozenset((torch.float32, torch.bfloat16, torch.float16))


def attend(
    attended: Attended, q_BHLD: Tensor, sources: Sequence[Tensor], *, options: Options
) -> tuple[Tensor, list[Tensor], Tensor]:
    """The output (B, H, L, D), the mass of each span (B, H, its queries) and of each index (B, H, L, K)."""
    B, H, _, _ = q_BHLD.shape
    done = forward(attended, q_BHLD, sources, options)
    running = done.running
    lse_BHL = running.lse_RL.unflatten(0, (B, H))
    shares = [
        (part.lse - lse_BHL[:, :, slice(*span.queries)]).exp()
        for part, span in zip(done.spans, attended.spans, strict=True)
    ]
    routed = shares_of(running.slot_lse_RLK, running.lse_RL).unflatten(0, (B, H))
    return running.out_BHLD, shares, routed


def triton_backend(options: Options) -> AttentionBackend:
    """The backend with given bounds of memory."""
    by_options = partial(attend, options=options)
    return AttentionBackend(
        name="triton",
        over_layout=partial(layout_attention, by_options),
        over_history=partial(history_attention, by_options),
        devices=frozenset({"cuda", "cpu"} if INTERPRETED else {"cuda"}),
        dtypes=DTYPES,
        gradients=False,
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
