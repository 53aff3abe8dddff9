"""Rotary embedding of the keys of a segment of the history, into a buffer or in place."""

from __future__ import annotations

import triton
import triton.language as tl
from torch import Tensor

from moc_engine.ops.rotary import Rotary
from moc_engine.ops.triton.blocks import row_and_block
from moc_engine.ops.triton.launches import capability_of, launch, padded_head


@triton.jit
def turned(x, COS, SIN, token, live, HEAD: tl.constexpr, WIDTH: tl.constexpr, TOKENS: tl.constexpr):
    """Keys x (TOKENS, WIDTH) that stand at `token` of the history, where `live`, rotated in float32."""
    half = tl.arange(0, WIDTH // 2)
    angle = token.to(tl.int64)[:, None] * (HEAD // 2) + half[None, :]
    mask = live[:, None] & (half < HEAD // 2)[None, :]
    cos = tl.load(COS + angle, mask=mask, other=1.0).to(tl.float32)
    sin = tl.load(SIN + angle, mask=mask, other=0.0).to(tl.float32)
    even, odd = tl.split(tl.reshape(x.to(tl.float32), (TOKENS, WIDTH // 2, 2)))
    return tl.reshape(tl.join(even * cos - odd * sin, even * sin + odd * cos), (TOKENS, WIDTH)).to(x.dtype)


@triton.jit(do_not_specialize=["first_token", "tokens"])
def rotate_kernel(
    X,
    OUT,
    COS,
    SIN,
    x_tokens,
    out_tokens,
    first_token,
    tokens,
    HEAD: tl.constexpr,
    WIDTH: tl.constexpr,
    TOKENS: tl.constexpr,
):
    """Rotates `tokens` keys of each row, which the history has from `first_token` on, by angles (T, D / 2).

    Rows of X lie `x_tokens` tokens apart, those of OUT `out_tokens`.
    """
    row, block = row_and_block(tl.cdiv(tokens, TOKENS))
    token = block * TOKENS + tl.arange(0, TOKENS)
    live = token < tokens
    d = tl.arange(0, WIDTH)
    at = token[:, None] * HEAD + d[None, :]
    mask = live[:, None] & (d < HEAD)[None, :]
    x = tl.load(X + row * x_tokens * HEAD + at, mask=mask, other=0.0)
    out = turned(x, COS, SIN, first_token + token, live, HEAD, WIDTH, TOKENS)
    tl.store(OUT + row * out_tokens * HEAD + at, out, mask=mask)


def rotate(k_RTD: Tensor, out_RTD: Tensor, rotary: Rotary, first_token: int) -> None:
    """Rotates rows of keys, which stand from `first_token` of the history on, into `out_RTD` or in place."""
    R, T, D = k_RTD.shape
    tile = launch("rotate", D, k_RTD.dtype, capability_of(k_RTD.device))
    rotate_kernel[(triton.cdiv(T, tile.rows) * R,)](
        k_RTD,
        out_RTD,
        rotary.cos,
        rotary.sin,
        k_RTD.stride(0) // D,
        out_RTD.stride(0) // D,
        first_token,
        T,
        HEAD=D,
        WIDTH=padded_head(D),
        TOKENS=tile.rows,
        **tile.options,
    )
