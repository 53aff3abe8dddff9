"""How kernels are launched: sizes of tiles, warps and stages, from one fixed table, and whether TMA is used.

Nothing is tuned at run time, as sizes of tiles change the order of sums and so the last bits of a result.
The first row of a kernel's table that fits is taken: by head size, bytes of a number, and compute capability.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import torch
import triton

INTERPRETED: Final = bool(triton.knobs.runtime.interpret)
"""Whether kernels run in Triton's interpreter, on CPU tensors."""

Capability = tuple[int, int]
INTERPRETER: Final = (0, 0)
HOPPER: Final = (9, 0)


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A launch: `rows` queries or pairs against `keys` keys at a time, by `warps` warps in `stages` stages.

    `tma` loads keys and values by tensor descriptors, `registers` is a bound per thread, None for none. Wider
    heads than `piece` are read so many numbers at a time for scores, which needs fewer registers.
    """

    rows: int
    keys: int
    warps: int = 4
    stages: int = 2
    tma: bool = False
    registers: int | None = None
    piece: int | None = None

    @property
    def options(self) -> dict[str, int]:
        """Keyword arguments of a kernel's launch."""
        if INTERPRETED:
            return {}
        bound = {} if self.registers is None else {"maxnreg": self.registers}
        return {"num_warps": self.warps, "num_stages": self.stages, **bound}

    def piece_of(self, head: int) -> int:
        """How many numbers of a head are read at a time for scores."""
        return padded_head(head) if self.piece is None else min(self.piece, padded_head(head))


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of the table: the tile for heads up to `head`, numbers up to `size` bytes, from `capability` on.

    A row for Hopper ends `below` the consumer's Blackwell, whose multiprocessors have less shared memory.
    """

    head: int
    size: int
    capability: Capability
    tile: Tile

    @property
    def below(self) -> Capability:
        return (12, 0) if self.capability == HOPPER else (99, 0)


AMPERE: Final = (8, 0)
ANY: Final = INTERPRETER

TABLE: Final[Mapping[str, tuple[Row, ...]]] = {
    "routed": (
        Row(head=64, size=2, capability=HOPPER, tile=Tile(rows=128, keys=64, warps=8, stages=3, tma=True)),
        Row(head=128, size=2, capability=HOPPER, tile=Tile(rows=64, keys=64, warps=4, stages=3, tma=True)),
        Row(head=256, size=2, capability=HOPPER, tile=Tile(rows=64, keys=64, warps=8, stages=2, tma=True)),
        Row(head=64, size=2, capability=AMPERE, tile=Tile(rows=64, keys=64, warps=4, stages=2)),
        Row(head=128, size=2, capability=AMPERE, tile=Tile(rows=64, keys=32, warps=4, stages=3, piece=64)),
        Row(head=256, size=2, capability=AMPERE, tile=Tile(rows=32, keys=32, warps=8, stages=2, piece=64)),
        Row(head=64, size=4, capability=HOPPER, tile=Tile(rows=64, keys=32, warps=4, stages=1, piece=32)),
        Row(
            head=128,
            size=4,
            capability=AMPERE,
            tile=Tile(rows=32, keys=32, warps=8, stages=1, piece=32),
        ),
        Row(
            head=256,
            size=4,
            capability=AMPERE,
            tile=Tile(rows=16, keys=16, warps=8, stages=1, piece=32),
        ),
        Row(head=256, size=4, capability=ANY, tile=Tile(rows=16, keys=16, piece=16)),
    ),
    "routed unrotated": (
        Row(head=64, size=2, capability=HOPPER, tile=Tile(rows=128, keys=64, warps=8, stages=3, tma=True)),
        Row(head=128, size=2, capability=HOPPER, tile=Tile(rows=128, keys=64, warps=8, stages=2, tma=True)),
        Row(head=128, size=2, capability=AMPERE, tile=Tile(rows=64, keys=32, warps=4, stages=2)),
        Row(head=256, size=2, capability=AMPERE, tile=Tile(rows=64, keys=32, warps=8, stages=1)),
        Row(head=64, size=4, capability=AMPERE, tile=Tile(rows=32, keys=32, warps=8, stages=1)),
        Row(head=256, size=4, capability=AMPERE, tile=Tile(rows=16, keys=16, warps=8, stages=1)),
        Row(head=256, size=4, capability=ANY, tile=Tile(rows=16, keys=16)),
    ),
    "masses": (
        Row(head=128, size=2, capability=HOPPER, tile=Tile(rows=128, keys=64, warps=4, stages=3)),
        Row(head=256, size=2, capability=HOPPER, tile=Tile(rows=64, keys=64, warps=4, stages=2)),
        Row(head=128, size=2, capability=AMPERE, tile=Tile(rows=64, keys=64, warps=4, stages=2)),
        Row(head=256, size=2, capability=AMPERE, tile=Tile(rows=64, keys=32, warps=4, stages=2, piece=64)),
        Row(head=256, size=4, capability=AMPERE, tile=Tile(rows=32, keys=32, warps=4, stages=1, piece=32)),
        Row(head=256, size=4, capability=ANY, tile=Tile(rows=16, keys=16, piece=16)),
    ),
    "merge": (
        Row(head=128, size=4, capability=AMPERE, tile=Tile(rows=32, keys=1)),
        Row(head=256, size=4, capability=AMPERE, tile=Tile(rows=16, keys=1)),
        Row(head=256, size=4, capability=ANY, tile=Tile(rows=64, keys=1)),
    ),
    "dq": (
        Row(head=128, size=2, capability=AMPERE, tile=Tile(rows=64, keys=32, warps=4, stages=2)),
        Row(head=256, size=2, capability=AMPERE, tile=Tile(rows=64, keys=32, warps=8, stages=2)),
        Row(head=64, size=4, capability=AMPERE, tile=Tile(rows=64, keys=32, warps=4, stages=1, piece=32)),
        Row(head=128, size=4, capability=AMPERE, tile=Tile(rows=32, keys=32, warps=8, stages=1, piece=32)),
        Row(head=256, size=4, capability=AMPERE, tile=Tile(rows=16, keys=16, warps=8, stages=1, piece=32)),
        Row(head=256, size=4, capability=ANY, tile=Tile(rows=16, keys=16, piece=16)),
    ),
    "dkdv": (
        Row(head=128, size=2, capability=AMPERE, tile=Tile(rows=32, keys=64, warps=4, stages=3)),
        Row(head=256, size=2, capability=AMPERE, tile=Tile(rows=16, keys=64, warps=8, stages=2)),
        Row(head=32, size=4, capability=AMPERE, tile=Tile(rows=32, keys=64, warps=8, stages=1)),
        Row(head=64, size=4, capability=AMPERE, tile=Tile(rows=32, keys=32, warps=8, stages=1)),
        Row(head=128, size=4, capability=AMPERE, tile=Tile(rows=32, keys=16, warps=8, stages=1)),
        Row(head=256, size=4, capability=AMPERE, tile=Tile(rows=16, keys=16, warps=8, stages=1, piece=16)),
        Row(head=256, size=4, capability=ANY, tile=Tile(rows=16, keys=16, piece=16)),
    ),
    "delta": (
        Row(head=128, size=4, capability=AMPERE, tile=Tile(rows=32, keys=1)),
        Row(head=256, size=4, capability=AMPERE, tile=Tile(rows=16, keys=1)),
        Row(head=256, size=4, capability=ANY, tile=Tile(rows=64, keys=1)),
    ),
    "top_k": (
        Row(head=256, size=2, capability=AMPERE, tile=Tile(rows=64, keys=16, warps=4, stages=2)),
        Row(head=256, size=4, capability=AMPERE, tile=Tile(rows=64, keys=16, warps=4, stages=1)),
        Row(head=256, size=4, capability=ANY, tile=Tile(rows=16, keys=16)),
    ),
    "means": (
        Row(head=128, size=4, capability=AMPERE, tile=Tile(rows=1, keys=64)),
        Row(head=256, size=4, capability=AMPERE, tile=Tile(rows=1, keys=32)),
        Row(head=256, size=4, capability=ANY, tile=Tile(rows=1, keys=16)),
    ),
    "rotate": (
        Row(head=256, size=4, capability=AMPERE, tile=Tile(rows=32, keys=1)),
        Row(head=256, size=4, capability=ANY, tile=Tile(rows=64, keys=1)),
    ),
}
"""Kernels by name. In each, rows of lower heads, sizes and higher capabilities come first."""


def launch(kernel: str, head: int, dtype: torch.dtype, capability: Capability) -> Tile:
    """The tile of a kernel. Raises `ValueError` for a head size that no row of its table has."""
    for row in TABLE[kernel]:
        fits = row.capability <= capability < row.below
        if fits and head <= row.head and dtype.itemsize <= row.size:
            return row.tile
    raise ValueError(f"q: heads of at most {greatest_head(kernel)} can be attended to here, got {head}")


def greatest_head(kernel: str) -> int:
    return max(row.head for row in TABLE[kernel])


@lru_cache(maxsize=64)
def capability_of(device: torch.device) -> Capability:
    """The compute capability of a CUDA device; (0, 0) for the interpreter."""
    return INTERPRETER if INTERPRETED else torch.cuda.get_device_capability(device)


def padded_head(head: int) -> int:
    """The power of two that holds a head, 16 at least: the width of blocks in the kernels."""
    return max(16, 1 << math.ceil(math.log2(head)))


@lru_cache(maxsize=1)
def has_tma() -> bool:
    """Whether this build of Triton has tensor descriptors that are made on the host."""
    try:
        import triton.tools.tensor_descriptor
    except ImportError:
        return False
    return hasattr(triton.language, "tensor_descriptor")


def precision(dtype: torch.dtype) -> str:
    """How `tl.dot` multiplies: float32 in three tf32 products each, which keeps float32's error."""
    return "tf32x3" if dtype == torch.float32 else "tf32"


def descriptor(x_RTD: torch.Tensor, keys: int) -> Any:
    """A tensor descriptor of rows of tokens (R, T, D), as one matrix from which `keys` tokens are loaded."""
    from triton.tools.tensor_descriptor import TensorDescriptor

    R, T, D = x_RTD.shape
    tokens = x_RTD.stride(0) // D
    return TensorDescriptor(x_RTD, [(R - 1) * tokens + T, D], [D, 1], [keys, padded_head(D)])
