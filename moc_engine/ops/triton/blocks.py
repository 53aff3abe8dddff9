"""What kernels do with blocks: which one a program has, rows of (·, HEAD) loaded and stored, and products.

Blocks are WIDTH wide, the power of two that holds a head of HEAD numbers; what is beyond HEAD is 0.
"""

from __future__ import annotations

import triton
import triton.language as tl

from moc_engine.ops.triton.launches import INTERPRETED

_INTERPRETED = tl.constexpr(INTERPRETED)


@triton.jit
def row_and_block(blocks):
    """The int64 row and the block of a program, of so many `blocks` a row; on axis x of the grid alone.

    CUDA's other axes end at 65,535, which batch times heads times slots exceed.
    """
    program = tl.program_id(0)
    return (program // blocks).to(tl.int64), program % blocks


@triton.jit
def load_rows(X, rows, live, HEAD: tl.constexpr, WIDTH: tl.constexpr):
    """Rows (n, WIDTH) of X (·, HEAD) at the int64 `rows`, zeros where not `live`."""
    d = tl.arange(0, WIDTH)
    mask = live[:, None]
    if HEAD != WIDTH:
        mask &= (d < HEAD)[None, :]
    return tl.load(X + rows[:, None] * HEAD + d[None, :], mask=mask, other=0.0)


@triton.jit
def load_all_rows(X, rows, HEAD: tl.constexpr, WIDTH: tl.constexpr):
    """As `load_rows`, all of them live."""
    d = tl.arange(0, WIDTH)
    at = X + rows[:, None] * HEAD + d[None, :]
    if HEAD == WIDTH:
        return tl.load(at)
    return tl.load(at, mask=(d < HEAD)[None, :], other=0.0)


@triton.jit
def store_rows(X, rows, live, values, HEAD: tl.constexpr, WIDTH: tl.constexpr):
    """Writes `values` (n, WIDTH) to the int64 `rows` of X (·, HEAD) that are `live`, in the dtype of X."""
    d = tl.arange(0, WIDTH)
    mask = live[:, None]
    if HEAD != WIDTH:
        mask &= (d < HEAD)[None, :]
    tl.store(X + rows[:, None] * HEAD + d[None, :], values.to(X.dtype.element_ty), mask=mask)


@triton.jit
def product(a, b, PRECISION: tl.constexpr):
    """a @ b in float32. Triton's interpreter multiplies the bits of bfloat16, hence the detour."""
    if _INTERPRETED:
        return tl.dot(a.to(tl.float32), b.to(tl.float32))
    return tl.dot(a, b, input_precision=PRECISION)


@triton.jit
def add_product(total, a, b, PRECISION: tl.constexpr):
    """total + a @ b, as `product`."""
    if _INTERPRETED:
        return tl.dot(a.to(tl.float32), b.to(tl.float32), total)
    return tl.dot(a, b, total, input_precision=PRECISION)
