"""What the last shot of a story costs in memory: what is kept for it, read of it, and allocated meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from moc_engine.evaluation.benchmark.timing import extra_mebibytes
from moc_engine.evaluation.generation.memory_attention import DenoisingStep, MemoryAttention

MEBIBYTE: Final = 2**20


@dataclass(frozen=True, kw_only=True)
class MemoryCosts:
    """MiB of one story at its last shot.

    `remembered` are the keys, values and mean keys of all earlier shots, as the method keeps them; `read`
    those keys and values that any query of a denoising step attends to; `working` the most that such a step
    holds beside weights and memories: activations, copies of memories, scores and masks.
    """

    remembered: float
    read: float
    working: float


def memory_costs(attention: MemoryAttention, run_step: Callable[[], object]) -> MemoryCosts:
    """Measures the first step of the shot that has begun, which `run_step` runs for all stories of a batch.

    Allocations are counted one by one on a CPU, where torch keeps no peak.
    """
    stories = len(attention.attended)
    attention.step = DenoisingStep()
    with attention.counted_reads() as count:
        working = extra_mebibytes(run_step, attention.device)
        read = count()
    return MemoryCosts(
        remembered=attention.remembered / stories / MEBIBYTE,
        read=read / stories / MEBIBYTE,
        working=working / stories,
    )
