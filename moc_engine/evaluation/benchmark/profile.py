"""Where the time of one pass of a transformer goes.

On a CPU by the code that started each operation (`parts`). On a GPU by the names of kernels, since a
profiler does not know which code launched a Triton kernel; what is left of the pass is waiting.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]

from moc_engine.evaluation.benchmark.parts import time_by_part
from moc_engine.evaluation.benchmark.timing import milliseconds

KERNELS: Final = 20
"""Kernels that are named, those of the longest time."""

KERNEL_PARTS: Final = {
    "choosing": r"^best_kernel|^mean_kernel|topk|radix",
    "packing": r"^rank_kernel|^place_kernel|tile_ends|cumsum|DeviceScan",
    "routed chunks": r"^routed|^merge_",
    "rotary embedding": r"^rotate_kernel",
    "own shot and captions": r"sdpa|flash|fmha|attention",
    "linear layers": r"gemm|nvjet|cutlass|cublas|gemv",
    "norms": r"norm",
}
"""Kernels by a pattern of their names; the first part that fits."""


def profile_pass(work: Callable[[], object], device: torch.device) -> dict[str, Any]:
    """Milliseconds of the `whole` pass and of its `parts`; on a GPU also of the `kernels` that take longest.

    The profiler slows the work of a CPU down, so that there the shares of the parts count.
    """
    if device.type != "cuda":
        parts = time_by_part(work, device)
        return {"whole": sum(parts.values()), "parts": parts}
    kernels = _kernels(work)
    whole = milliseconds(work, device)
    waiting = max(0.0, whole - sum(kernels.values()))
    longest = sorted(kernels.items(), key=lambda item: -item[1])[:KERNELS]
    return {
        "whole": whole,
        "parts": {**kernel_parts(kernels), "waiting": waiting},
        "kernels": {name[:80]: taken for name, taken in longest},
    }


def kernel_parts(kernels: Mapping[str, float]) -> dict[str, float]:
    """The times of kernels added up by `KERNEL_PARTS`, and "rest"."""
    total: dict[str, float] = defaultdict(float)
    for name, taken in kernels.items():
        fitting = (part for part, pattern in KERNEL_PARTS.items() if re.search(pattern, name, re.IGNORECASE))
        total[next(fitting, "rest")] += taken
    return dict(total)


def _kernels(work: Callable[[], object]) -> dict[str, float]:
    """Milliseconds on the GPU by kernel."""
    activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
    with torch.profiler.profile(activities=activities) as profile:
        work()
        torch.cuda.synchronize()
    total: dict[str, float] = defaultdict(float)
    for event in profile.events():
        if event.device_type == DeviceType.CUDA:
            total[event.name] += event.self_device_time_total / 1e3
    return dict(total)
