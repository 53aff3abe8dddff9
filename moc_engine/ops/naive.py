"""The reference: one softmax over every attended key, written as in the paper. Memory grows with L × T.

Shapes: B batch, H heads, L queries, T tokens of the layout, C chunks, D head width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from moc_engine.ops.backend import AttentionBackend, Mass
from moc_engine.ops.layout import VIDEO, ChunkLayout, Ints
from moc_engine.ops.rotary import Rotary
from moc_engine.ops.selection import QueryGroup, Selection


def naive_attention(
    q: Tensor, k: Tensor, v: Tensor, layout: ChunkLayout, selection: Selection, scale: float
) -> tuple[Tensor, Tensor]:
    """The output (B, H, L, D) and the attended mass of each chunk (B, H, L, C), detached.

    Attn(q_i) = softmax(q_i · K_Ω(i)ᵀ / √D) · V_Ω(i), where Ω(i) unites the tokens of the chunks that
    query i routed to and of its mandatory ones.
    """
    attended_BHLT = selection.mask()
    never_BHT1 = ~attended_BHLT.any(dim=2)[..., None]
    given, dtype = q.dtype, torch.promote_types(q.dtype, torch.float32)
    q, k, v = (x.to(dtype) for x in (q, k.masked_fill(never_BHT1, 0), v.masked_fill(never_BHT1, 0)))

    scores_BHLT = (q @ k.transpose(2, 3) * scale).masked_fill(~attended_BHLT, -torch.inf)
    weights_BHLT = scores_BHLT.softmax(dim=-1)
    out_BHLD = (weights_BHLT @ v).to(given)

    chunk_of_token = torch.tensor(layout.token_chunk).to(q.device)
    member_TC = torch.nn.functional.one_hot(chunk_of_token, layout.chunks).to(dtype)
    mass_BHLC = weights_BHLT.detach() @ member_TC
    return out_BHLD, mass_BHLC


def naive_history_attention(
    q_BHLD: Tensor,
    own_k_BHSD: Tensor,
    own_v_BHSD: Tensor,
    history_k_BHTD: Tensor,
    history_v_BHTD: Tensor,
    history_offsets: Ints,
    indices_BHLK: Tensor,
    *,
    pinned: Sequence[int] = (),
    rotary: Rotary | None = None,
    scale: float | None = None,
) -> tuple[Tensor, Mass]:
    """As `grouped_attention`: history and own keys are put side by side into one layout."""
    B, device = len(q_BHLD), q_BHLD.device
    past = (history_k_BHTD, history_v_BHTD)
    past_k, past_v = (x.to(device).expand(B, -1, -1, -1) for x in past)
    if rotary is not None:
        past_k = rotary(past_k, torch.arange(past_k.shape[2], device=past_k.device))
    keys, values = torch.cat((past_k, own_k_BHSD), dim=2), torch.cat((past_v, own_v_BHSD), dim=2)
    chunks = len(history_offsets) - 1
    layout = ChunkLayout(
        np.append(history_offsets, keys.shape[2]),
        np.append(np.zeros(chunks, np.int64), 1),
        np.full(chunks + 1, VIDEO),
    )
    own = np.arange(chunks + 1) == chunks
    group = QueryGroup(
        shot=1,
        start=0,
        stop=q_BHLD.shape[2],
        own=own,
        captions=np.zeros_like(own),
        pinned=np.isin(np.arange(chunks + 1), pinned),
    )
    selection = Selection(indices=indices_BHLK, groups=(group,), layout=layout)
    scale = 1 / math.sqrt(q_BHLD.shape[-1]) if scale is None else scale
    out, mass_BHLC = naive_attention(q_BHLD, keys, values, layout, selection, scale)
    return out, Mass(
        own=mass_BHLC[..., chunks:],
        pinned=mass_BHLC[..., list(pinned)],
        routed=mass_BHLC.gather(-1, indices_BHLK.clamp(min=0)).masked_fill(indices_BHLK < 0, 0),
    )


def _over_layout(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    layout: ChunkLayout,
    selection: Selection,
    scale: float,
    *,
    mass: bool,
) -> tuple[Tensor, Tensor | None]:
    out, shares = naive_attention(q, k, v, layout, selection, scale)
    return out, shares if mass else None


NAIVE = AttentionBackend(
    name="naive", over_layout=_over_layout, over_history=naive_history_attention, far_history=True
)
