"""`moc_attention`: attention over the chunks that a selection names, by any backend that supports layouts."""

from __future__ import annotations

import math
from typing import Literal, overload

import torch
from torch import Tensor

from moc_engine.config import Backend
from moc_engine.ops.autocast import without_autocast
from moc_engine.ops.backend import Need
from moc_engine.ops.layout import ChunkLayout
from moc_engine.ops.registry import choose_backend
from moc_engine.ops.selection import Selection


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
    attention that each chunk received, (B, H, L, C), detached; a query's shares sum to 1. Autocast changes
    nothing.

    Raises `ValueError` that names the argument, or what the backend does not support.
    """
    need = Need(
        form="layout",
        device=q.device.type,
        dtype=q.dtype,
        mass=return_mass,
        gradients=torch.is_grad_enabled() and any(x.requires_grad for x in (q, k, v)),
        query_shots=len(selection.groups),
    )
    _check(q, k, v, layout, selection)
    chosen = choose_backend(backend, need).backend
    assert chosen.over_layout is not None
    scale = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
    with without_autocast(q.device.type):
        out, mass = chosen.over_layout(q, k, v, layout, selection, scale, mass=return_mass)
    if not return_mass:
        return out
    assert mass is not None
    return out, mass


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
    if selection.layout is not layout and selection.layout != layout:
        raise ValueError(f"selection: made for another layout than this one of {layout.chunks} chunks")
