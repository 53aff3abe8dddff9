"""Where the time of a denoising step goes, by the code that started each operation, from torch's profiler.

An operation belongs to the innermost frame around it that `PARTS` knows: a module's forward or a function.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

import torch
from torch.autograd import DeviceType  # type: ignore[attr-defined]

PARTS: Final = (
    ("trace/recorder.py", "trace"),
    ("ops/choosing.py", "choosing"),
    ("ops/routing.py", "choosing"),
    ("ops/triton/top_k.py", "choosing"),
    ("ops/triton/means.py", "choosing"),
    ("ops/tiles.py", "packing"),
    ("ops/triton/packing.py", "packing"),
    ("ops/triton/segments.py: pack", "packing"),
    ("ops/triton/merging.py", "merge"),
    ("ops/partial.py: merge", "merge"),
    ("ops/rotary.py", "rotary embedding"),
    ("ops/triton/rotating.py", "rotary embedding"),
    ("ops/triton/dense.py", "own shot"),
    ("ops/dense_pass.py", "own shot"),
    ("ops/triton/routed.py", "routed chunks"),
    ("ops/triton/segments.py", "routed chunks"),
    ("ops/tile_pass.py", "routed chunks"),
    ("ops/gathered.py: _", "routed chunks"),
    ("ops/", "other attention"),
    ("render/denoising_pass.py", "other attention"),
    ("memory/grid.py", "other attention"),
    ("nn.Module: Linear", "linear layers"),
    ("nn.Module: RMSNorm", "norms"),
    ("nn.Module: FP32LayerNorm", "norms"),
    ("nn.Module: LayerNorm", "norms"),
    ("models/wan_transformer.py: _caption_keys", "caption attention"),
    ("models/wan_transformer.py: __call__", "caption attention"),
)
"""What a frame's text contains, its line number left out, and its part; the first one counts."""

REST: Final = "rest"


def time_by_part(work: Callable[[], object], device: torch.device) -> dict[str, float]:
    """Milliseconds of `work` by part, the longest first: on a GPU of its kernels, else of the operations.

    The profiler slows the work of a CPU down; the shares of the parts count.
    """
    work()
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device.type == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities, with_stack=True) as profile:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
    total: dict[str, float] = defaultdict(float)
    for event in profile.events():
        if event.device_type != DeviceType.CPU or event.is_user_annotation:
            continue
        if device.type == "cuda":
            spent = sum(kernel.duration for kernel in event.kernels)
        else:
            spent = event.self_cpu_time_total if _is_operation(event) else 0.0
        if spent:
            total[_part_of(event)] += spent / 1e3
    return dict(sorted(total.items(), key=lambda item: -item[1]))


def _is_operation(event: Any) -> bool:
    return "::" in event.name and not event.name.startswith("nn.Module")


def _part_of(event: Any) -> str:
    frame = event
    while frame is not None:
        text = _without_line(frame.name)
        for contained, part in PARTS:
            if contained in text:
                return part
        frame = frame.cpu_parent
    return REST


def _without_line(name: str) -> str:
    """ "moc_engine/ops/rotary.py(12): rotate" without its line number."""
    before, bracket, after = name.partition(".py(")
    return f"{before}.py:{after.partition('):')[2]}" if bracket else name
