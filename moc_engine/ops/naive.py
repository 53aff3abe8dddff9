"""The oracle: one softmax over every attended key, written as in the paper. Memory grows with L × T.

Shapes: B batch, H heads, L queries, T tokens of the layout, C chunks, D head width.
"""

from __future__ import annotations

import torch
from torch import Tensor

from moc_engine.ops.layout import ChunkLayout
from moc_engine.ops.routing import Selection


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
