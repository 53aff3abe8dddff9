"""The attention backends: which there are, and which one computes what a caller needs.

    naive      one masked softmax, readable as the paper; memory grows with queries × tokens
    grouped    any device; queries gathered by chunk, merged with the dense pass over the own shot
    gathered   small shots with short chunks: the routed keys are gathered beside each query
    masked     small shots whose gradients are wanted: one masked softmax; tells no mass
    triton     CUDA devices: dense kernels of the library, and Triton kernels for routed chunks

A backend is chosen once and never replaced silently; for "auto", `choice` picks one by measured times. Third
parties add backends by entry points of the group `moc_studio.backends`, whose values are `AttentionBackend`s;
they are used where they are asked for by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from typing import Final

from moc_engine.config import BACKEND_ENTRY_POINTS, backend_names
from moc_engine.ops.backend import AttentionBackend, Need
from moc_engine.ops.choice import fastest
from moc_engine.ops.gathered import GATHERED
from moc_engine.ops.grouped import GROUPED
from moc_engine.ops.masked import MASKED
from moc_engine.ops.naive import NAIVE
from moc_engine.plug_ins import find_plug_in

BUILT_IN: Final = {backend.name: backend for backend in (NAIVE, GROUPED, GATHERED, MASKED)}


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The backend that was chosen, and why: "asked for", or the measured row or the rule that chose it.

    Where the backend has several kernels, `why` ends with the one that is used.
    """

    backend: AttentionBackend
    why: str


def find_backend(name: str) -> AttentionBackend:
    """The backend of this name. Raises `ValueError` for one that is unknown or not there."""
    if name in BUILT_IN:
        return BUILT_IN[name]
    if name == "triton":
        return _triton()
    if (backend := find_plug_in(BACKEND_ENTRY_POINTS, name, AttentionBackend)) is not None:
        return backend
    raise ValueError(f"backend: unknown backend {name!r}; there are {', '.join(backend_names())}")


def choose_backend(wanted: str, need: Need) -> Chosen:
    """The backend `wanted`, or with "auto" the fastest built-in one for the need, as far as is known.

    Raises `ValueError` for a backend that is unknown, not there, or does not support the need.
    """
    if wanted == "auto":
        return _fastest(need) if need.work is not None else _fastest_at_any_size(need)
    backend = find_backend(wanted)
    missing = backend.missing(need)
    if missing is not None:
        raise ValueError(f"backend: {wanted!r} does not support {missing}; use 'auto'")
    return _chosen(backend, need, "asked for")


def _fastest(need: Need) -> Chosen:
    there = {**BUILT_IN, "triton": _triton()} if need.device == "cuda" and _has_triton() else BUILT_IN
    name, why = fastest(need, there)
    return _chosen(there[name], need, why)


_fastest_at_any_size = lru_cache(maxsize=64)(_fastest)


def _chosen(backend: AttentionBackend, need: Need, why: str) -> Chosen:
    variant = "" if backend.variant is None else backend.variant(need)
    return Chosen(backend=backend, why=f"{why}; {variant}" if variant else why)


def _has_triton() -> bool:
    return find_spec("triton") is not None


def _triton() -> AttentionBackend:
    """The backend `triton`, imported when it is first asked for."""
    if not _has_triton():
        raise ValueError(
            "backend: 'triton' needs the package triton; install the extra 'gpu' (Linux only), or use 'auto'"
        )
    from moc_engine.ops.triton.attending import TRITON

    return TRITON
