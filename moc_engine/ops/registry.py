"""Attention over the chunks a selection names: one public function, several backends.

naive      one masked softmax, readable as the paper; memory grows with queries × tokens
grouped    any device; queries gathered by chunk, merged with the dense own-shot pass
gathered   small shots with short chunks, which renders choose where it pays; see `gathered.py`
"""

from __future__ import annotations

import math
from typing import Literal, overload

from torch import Tensor

from moc_engine.config import Backend
from moc_engine.ops.grouped import layout_attention, layout_attention_with_mass
from moc_engine.ops.layout import ChunkLayout
from moc_engine.ops.naive import naive_attention
from moc_engine.ops.routing import Selection

ChosenBackend = Literal["naive", "grouped"]


def choose_backend(wanted: Backend = "auto") -> ChosenBackend:
    """The backend that `wanted` stands for; "auto" is "grouped". Never falls back.

    Raises `ValueError` for a backend that is unknown or not there.
    """
    match wanted:
        case "naive" | "grouped":
            return wanted
        case "auto":
            return "grouped"
        case "triton":
            raise ValueError("backend: 'triton' is not part of this version; use 'grouped' or 'auto'")
    raise ValueError(f"backend: unknown backend {wanted!r}; 'auto', 'naive' or 'grouped'")


@overload
def moc_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    layout: ChunkLayout,
    selection: Selection,
    backend: Backend = "auto",
    *,
    scale: float | None = None,
    return_mass: Literal[False] = False,
) -> Tensor: ...


@overload
def moc_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    layout: ChunkLayout,
    selection: Selection,
    backend: Backend = "auto",
    *,
    scale: float | None = None,
    return_mass: Literal[True],
) -> tuple[Tensor, Tensor]: ...


def moc_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    layout: ChunkLayout,
    selection: Selection,
    backend: Backend = "auto",
    *,
    scale: float | None = None,
    return_mass: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """softmax(q · kᵀ · scale) · v over the routed and mandatory chunks of each query, (B, H, L, D).

    q (B, H, L, D) are the queries that `selection` was made for, k and v (B, H, T, D) the keys and
    values of all tokens of the layout; float32, bfloat16, float16 or float64, on one device.
    Differentiable in q, k and v. `scale` is 1 / √D where None. With `return_mass` also the share of
    attention that each chunk received, (B, H, L, C), detached; a query's shares sum to 1.

    Raises `ValueError` naming the argument.
    """
    chosen = choose_backend(backend)
    _check(q, k, v, layout, selection)
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    if chosen == "naive":
        out, mass = naive_attention(q, k, v, layout, selection, scale)
        return (out, mass) if return_mass else out
    if return_mass:
        return layout_attention_with_mass(q, k, v, layout, selection, scale)
    return layout_attention(q, k, v, layout, selection, scale)


def _check(q: Tensor, k: Tensor, v: Tensor, layout: ChunkLayout, selection: Selection) -> None:
    if q.ndim != 4:
        raise ValueError(f"q: expected (B, H, L, D), got {tuple(q.shape)}")
    if not q.dtype.is_floating_point:
        raise ValueError(f"q: expected floating point, got {q.dtype}")
    B, H, L, D = q.shape
    for name, x in (("k", k), ("v", v)):
        if tuple(x.shape) != (B, H, layout.tokens, D):
            raise ValueError(f"{name}: expected {(B, H, layout.tokens, D)}, got {tuple(x.shape)}")
        if x.dtype != q.dtype:
            raise ValueError(f"{name}: expected {q.dtype} like q, got {x.dtype}")
        if x.device != q.device:
            raise ValueError(f"{name}: expected on {q.device} like q, got {x.device}")
    if tuple(selection.indices.shape[:3]) != (B, H, L):
        raise ValueError(f"selection: made for {tuple(selection.indices.shape[:3])}, q is {(B, H, L)}")
    if selection.layout != layout:
        raise ValueError(f"selection: made for another layout than this one of {layout.chunks} chunks")
