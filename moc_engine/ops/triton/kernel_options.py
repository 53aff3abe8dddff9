"""How the backend `triton` computes: what it may hold in memory, and how keys are rotated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

from moc_engine.ops.triton.streaming import SegmentBuffers

LONGEST_JOINED: Final = 450
"""The keys of a span up to which it is joined with its neighbours."""

Partials = Literal["auto", "stored", "in place"]
Rotation = Literal["buffer", "loaded"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Options:
    """How much memory the passes may use, in bytes.

    `partials`: partial outputs are stored for as many rows as fit `partial_bytes`, or merged in place; "auto"
    stores them where those of all rows fit. `rotation`: keys that are kept unrotated on the device are
    rotated into a buffer of `rotated_bytes`, or each time they are loaded. `buffers` are those of a history
    in main memory; with `always_streamed` also of one that is on the device, which measures what streaming
    costs besides the transfer. Spans of up to `longest_joined` keys are joined with their neighbours (see
    `spans`), as far as their keys fit `rotated_bytes`.
    """

    partials: Partials = "auto"
    partial_bytes: int = 1 << 27
    rotation: Rotation = "buffer"
    rotated_bytes: int = 1 << 28
    buffers: SegmentBuffers = field(default_factory=SegmentBuffers)
    always_streamed: bool = False
    longest_joined: int = LONGEST_JOINED
