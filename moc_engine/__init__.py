"""Mixture of Contexts: video generation in which every token selects the earlier chunks it attends to.

Names are imported on first use, so that importing the package does not load torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from moc_engine.import_notes import leave_out_import_notes

if TYPE_CHECKING:
    from moc_engine.config import RoutingConfig, SamplerConfig, Steering
    from moc_engine.memory.context import ContextMemory
    from moc_engine.ops.layout import ChunkLayout
    from moc_engine.ops.moc_attention import moc_attention
    from moc_engine.ops.routing import chunk_means, route
    from moc_engine.ops.selection import Selection
    from moc_engine.trace.record import RoutingTrace
    from moc_engine.trace.trace_file import read_trace, write_trace

_HOME = {
    "ChunkLayout": "ops.layout",
    "ContextMemory": "memory.context",
    "RoutingConfig": "config",
    "RoutingTrace": "trace.record",
    "SamplerConfig": "config",
    "Selection": "ops.selection",
    "Steering": "config",
    "chunk_means": "ops.routing",
    "moc_attention": "ops.moc_attention",
    "read_trace": "trace.trace_file",
    "route": "ops.routing",
    "write_trace": "trace.trace_file",
}

__all__ = [
    "ChunkLayout",
    "ContextMemory",
    "RoutingConfig",
    "RoutingTrace",
    "SamplerConfig",
    "Selection",
    "Steering",
    "chunk_means",
    "moc_attention",
    "read_trace",
    "route",
    "write_trace",
]


leave_out_import_notes()


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
