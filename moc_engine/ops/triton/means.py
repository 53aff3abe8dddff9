"""Mean keys of chunks, summed in float32: a program per row and chunk.

Shapes: B batch, H heads, R rows (B · H), T tokens, C chunks, D head width.
"""

from __future__ import annotations

from typing import Final

import torch
import triton
import triton.language as tl
from torch import Tensor

from moc_engine.ops.layout import Ints
from moc_engine.ops.triton.blocks import load_rows, row_and_block, store_rows
from moc_engine.ops.triton.launches import capability_of, launch, padded_head
from moc_engine.ops.triton.offsets import device_offsets

HEADS: Final = 256
"""The greatest head size."""


def supports(k: Tensor) -> bool:
    """Whether the kernel can sum these keys (..., D)."""
    return k.shape[-1] <= HEADS and k.dtype in (torch.float32, torch.bfloat16, torch.float16)


def chunk_means_by_kernel(k_BHTD: Tensor, offsets: Ints) -> Tensor:
    """The means (B, H, C, D) of keys on a CUDA device, as `routing.chunk_means`."""
    means = mean_keys(k_BHTD.flatten(0, 1), device_offsets(offsets, k_BHTD.device))
    return means.view(*k_BHTD.shape[:2], *means.shape[1:])


def mean_keys(k_RTD: Tensor, offsets: Tensor) -> Tensor:
    """The means (R, C, D) in float32 of the tokens offsets[c] : offsets[c + 1]; zero for an empty chunk.

    `offsets` (C + 1) are int32 or int64 on the device of the keys. What stands in one chunk never shows in
    another.
    """
    R, T, D = k_RTD.shape
    chunks = len(offsets) - 1
    means = torch.empty(R, chunks, D, dtype=torch.float32, device=k_RTD.device)
    if not means.numel():
        return means
    tile = launch("means", D, k_RTD.dtype, capability_of(k_RTD.device))
    sizes = {"D": D, "PADDED": padded_head(D), "TOKENS": tile.keys}
    mean_kernel[(chunks * R,)](k_RTD.contiguous(), offsets, means, T, chunks, **sizes, **tile.options)
    return means


@triton.jit
def mean_kernel(K, OFFSETS, MEANS, T, C, D: tl.constexpr, PADDED: tl.constexpr, TOKENS: tl.constexpr):
    row, chunk = row_and_block(C)
    first = tl.load(OFFSETS + chunk)
    last = tl.load(OFFSETS + chunk + 1)
    sums = tl.zeros((TOKENS, PADDED), tl.float32)
    for begin in range(first, last, TOKENS):
        token = begin + tl.arange(0, TOKENS)
        sums += load_rows(K, row * T + token, token < last, D, PADDED).to(tl.float32)
    mean = tl.sum(sums, 0) / tl.maximum(last - first, 1).to(tl.float32)
    one = tl.zeros((1,), tl.int64)
    store_rows(MEANS, one + row * C + chunk, one == 0, mean[None, :], D, PADDED)
