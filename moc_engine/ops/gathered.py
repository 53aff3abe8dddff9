"""Attention for small shots with short chunks: each query's routed keys are gathered beside it.

Where chunks are a few tokens long, sorting queries by chunk costs more than it saves. The work per query
does not grow with the story. Scores of the whole shot are held at once, so shots must be
small; `choice.fits` says which are.

Shapes: B batch, H heads, L queries, S dense keys, T history keys, K routed chunks per query, N tokens of
the longest chunk, D head width; R = B · H rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from moc_engine.ops.backend import AttentionBackend, Mass
from moc_engine.ops.layout import Ints
from moc_engine.ops.rotary import Rotary


def gathered_attention(
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
    """As `grouped_attention`, with the own shot as one chunk; all tensors must be on one device.

    The history may have fewer entries, each of which is then shared by as many that follow each other.
    """
    B, H, L, D = q_BHLD.shape
    R, K = B * H, indices_BHLK.shape[-1]
    scale = 1 / math.sqrt(D) if scale is None else scale
    dense_k, dense_v, cuts = _dense_keys(
        own_k_BHSD, own_v_BHSD, history_k_BHTD, history_v_BHTD, history_offsets, pinned, rotary
    )
    tokens_RLKN, none_RLKN = _tokens(history_offsets, indices_BHLK.reshape(R, L, K))
    routed_k = _gathered(history_k_BHTD, tokens_RLKN, none_RLKN)
    routed_v = _gathered(history_v_BHTD, tokens_RLKN, none_RLKN)
    if rotary is not None:
        routed_k = rotary(routed_k, tokens_RLKN)
    routed_k, routed_v = (x.view(R * L, -1, D) for x in (routed_k, routed_v))

    wide = torch.promote_types(q_BHLD.dtype, torch.float32)  # 16 bits are too few for large scores
    q_RLD = q_BHLD.flatten(0, 1).to(wide)
    dense_scores = q_RLD @ dense_k.flatten(0, 1).to(wide).transpose(1, 2)
    routed_scores = (routed_k.to(wide) @ q_RLD.reshape(R * L, D, 1)).view(R, L, -1)
    if none_RLKN is not None:
        routed_scores = routed_scores.masked_fill(none_RLKN.flatten(2), -torch.inf)
    scores = torch.cat((dense_scores, routed_scores), dim=-1)
    weights = (scores * scale).softmax(dim=-1)
    dense, routed = weights.to(q_BHLD.dtype).split([dense_scores.shape[-1], routed_scores.shape[-1]], dim=-1)
    out = dense @ dense_v.flatten(0, 1) + (routed.reshape(R * L, 1, -1) @ routed_v).view(R, L, D)

    shares = weights.detach()
    mass = [shares[..., first:stop].sum(dim=-1).view(B, H, L) for first, stop in cuts]
    return out.view(B, H, L, D), Mass(
        own=mass[0][..., None],
        pinned=torch.stack(mass[1:], dim=-1) if mass[1:] else shares.new_empty(B, H, L, 0),
        routed=shares[..., dense_scores.shape[-1] :].reshape(B, H, *tokens_RLKN.shape[1:]).sum(dim=-1),
    )


def _dense_keys(
    own_k: Tensor,
    own_v: Tensor,
    history_k: Tensor,
    history_v: Tensor,
    offsets: Ints,
    pinned: Sequence[int],
    rotary: Rotary | None,
) -> tuple[Tensor, Tensor, list[tuple[int, int]]]:
    """Own and pinned keys and values in one row, and where the own and each pinned chunk lie in it."""
    keys, values, cuts = [own_k], [own_v], [(0, own_k.shape[2])]
    for chunk in pinned:
        first, stop = int(offsets[chunk]), int(offsets[chunk + 1])
        k, v = (
            x[:, :, first:stop].repeat_interleave(len(own_k) // len(x), dim=0) for x in (history_k, history_v)
        )
        keys.append(k if rotary is None else rotary(k, torch.arange(first, stop, device=k.device)))
        values.append(v)
        cuts.append((cuts[-1][1], cuts[-1][1] + stop - first))
    if not pinned:
        return own_k, own_v, cuts
    return torch.cat(keys, dim=2), torch.cat(values, dim=2), cuts


def _tokens(offsets: Ints, indices_RLK: Tensor) -> tuple[Tensor, Tensor | None]:
    """The tokens (R, L, K, N) of the routed chunks, and a mask of the unused ones (None: all are used).

    Only on a CPU, where reading back costs nothing, is it found out that all are used.
    """
    device = indices_RLK.device
    all_lengths = np.diff(offsets)
    starts, lengths = _on_device(offsets[:-1].tobytes(), device), _on_device(all_lengths.tobytes(), device)
    within = torch.arange(int(all_lengths.max()), device=device)
    chosen = indices_RLK.clamp(min=0).flatten()
    tokens = starts.index_select(0, chosen).view(*indices_RLK.shape, 1) + within
    none = (indices_RLK < 0)[..., None]
    if (all_lengths != all_lengths[0]).any():
        behind = within >= lengths.index_select(0, chosen).view(*indices_RLK.shape, 1)
        return tokens.clamp(max=int(offsets[-1]) - 1), none | behind
    if device.type == "cpu" and not none.any():
        return tokens, None
    return tokens, none.expand(tokens.shape)


@lru_cache(maxsize=256)
def _on_device(numbers: bytes, device: torch.device) -> Tensor:
    """64-bit integers on a device, copied there once."""
    return torch.tensor(np.frombuffer(numbers, dtype=np.int64)).to(device)


def _gathered(x_BHTD: Tensor, tokens_RLKN: Tensor, none_RLKN: Tensor | None) -> Tensor:
    """Rows of x at `tokens_RLKN`, each within its own R, and zero where there is none.

    Where all are used, the N tokens of a chunk stand in a row and are read at once. Heads may lie any number
    of tokens apart.
    """
    B, H, T, D = x_BHTD.shape
    N = tokens_RLKN.shape[-1]
    if x_BHTD.requires_grad or x_BHTD.stride()[2:] != (D, 1) or any(s % D for s in x_BHTD.stride()[:2]):
        x_BHTD = x_BHTD.contiguous()
    batch, head = (stride // D for stride in x_BHTD.stride()[:2])
    entry = torch.arange(len(tokens_RLKN), device=tokens_RLKN.device).view(-1, 1, 1, 1)
    sharing = len(tokens_RLKN) // (B * H)
    rows = entry // (H * sharing) * batch + entry % H * head
    if none_RLKN is None:
        first = tokens_RLKN[..., :1] + rows
        if x_BHTD.requires_grad:  # runs that do not overlap, as their gradients are added
            runs, first = x_BHTD.view(-1, N * D), first.div(N, rounding_mode="floor")
        else:
            runs = x_BHTD.as_strided(((B - 1) * batch + (H - 1) * head + T - N + 1, N * D), (D, 1))
        return runs.index_select(0, first.flatten()).view(*tokens_RLKN.shape, D)
    flat = x_BHTD.as_strided(((B - 1) * batch + (H - 1) * head + T, D), (D, 1))
    gathered = flat.index_select(0, (tokens_RLKN + rows).flatten()).view(*tokens_RLKN.shape, D)
    return gathered.masked_fill(none_RLKN[..., None], 0)


GATHERED = AttentionBackend(
    name="gathered",
    over_history=gathered_attention,
    several_shots=False,
    needs_history=True,
    shared_history=True,
)
