"""What tests of the backend `triton` share: its attention with given options, and memory full of NaN."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from moc_engine.ops.backend import Mass
from moc_engine.ops.layout import Ints
from moc_engine.ops.rotary import Rotary
from moc_engine.ops.triton.attending import triton_backend
from moc_engine.ops.triton.kernel_options import Options
from tests.fakes.kernels import DEVICE


def attend_over_history(
    options: Options,
    tensors: tuple[Tensor, Tensor, Tensor, Tensor, Tensor],
    offsets: Ints,
    indices: Tensor,
    *,
    pinned: tuple[int, ...] = (),
    rotary: Rotary | None = None,
    scale: float | None = None,
) -> tuple[Tensor, Mass]:
    """The output and mass of q over its own k and v and the history's."""
    over_history = triton_backend(options).over_history
    assert over_history is not None
    return over_history(*tensors, offsets, indices, pinned=pinned, rotary=rotary, scale=scale)


@contextmanager
def poisoned_device_memory() -> Iterator[None]:
    """Memory that is allocated within it on the CUDA device holds NaN before it is written."""
    torch.cuda.empty_cache()
    pieces = [torch.full((size,), torch.nan, device=DEVICE) for size in (1 << 26, *(1 << 18,) * 64)]
    del pieces
    yield
    torch.cuda.empty_cache()
