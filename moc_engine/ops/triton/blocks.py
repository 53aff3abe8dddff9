"""What kernels do with blocks: rows of (·, D) tensors loaded and stored, and matrix products.

Blocks are PADDED wide, the power of two that holds a head of D numbers; what is beyond D is 0.
"""

from __future__ import annotations

import triton
import triton.language as tl

from moc_engine.ops.triton.launches import INTERPRETED

_INTERPRETED = tl.constexpr(INTERPRETED)


@triton.jit
def load_rows(X, rows, live, D: tl.constexpr, PADDED: tl.constexpr):
    """Rows (n, PADDED) of X (·, D) at the int64 `rows`, zeros where not `live`."""
    d = tl.arange(0, PADDED)
    mask = live[:, None]
    if D != PADDED:
        mask &= (d < D)[None, :]
    return tl.load(X + rows[:, None] * D + d[None, :], mask=mask, other=0.0)


@triton.jit
def store_rows(X, rows, live, values, D: tl.constexpr, PADDED: tl.constexpr):
    """Writes `values` (n, PADDED) to the int64 `rows` of X (·, D) that are `live`, in the dtype of X."""
    d = tl.arange(0, PADDED)
    mask = live[:, None]
    if D != PADDED:
        mask &= (d < D)[None, :]
    tl.store(X + rows[:, None] * D + d[None, :], values.to(X.dtype.element_ty), mask=mask)


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
