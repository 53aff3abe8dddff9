"""Where the time of one pass of a transformer goes: attention, linear layers, norms, the rest."""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.autograd import DeviceType  # type: ignore[attr-defined]

from moc_engine.evaluation.benchmark.timing import milliseconds
from moc_engine.models.base import AttentionPass

KERNELS: Final = 20
"""Kernels that are named, those of the longest time."""

KERNEL_PARTS: Final = {
    "choosing": r"^_best|^_mean|topk|radix",
    "packing": r"^_rank|^_place|tile_ends|cumsum|DeviceScan",
    "routed attention": r"^_?routed|^merge_|^rotate_kernel",
    "own and caption attention": r"sdpa|flash|fmha|attention",
    "linear layers": r"gemm|nvjet|cutlass|cublas|gemv",
    "norms": r"norm",
}
"""Kernels by a pattern of their names; the first part that fits."""


def profile_pass(
    transformer: nn.Module,
    attention: AttentionPass,
    run: Callable[[AttentionPass], object],
    device: torch.device,
) -> dict[str, Any]:
    """Milliseconds of one pass by part; on a GPU also by kinds of kernels, and of those that take longest.

    "self-attention" is all between the projections: choosing, rotary embedding, own and routed attention.
    """
    watched = _Watched(attention, device)
    run(watched)
    with watched.modules(transformer):
        whole = milliseconds(lambda: run(watched), device)
        parts = watched.parts()
    found: dict[str, Any] = {
        "whole": whole,
        "parts": {**parts, "rest": max(0.0, whole - sum(parts.values()))},
    }
    if device.type == "cuda":
        kernels = _kernels(lambda: run(attention))
        longest = sorted(kernels.items(), key=lambda item: -item[1])[:KERNELS]
        found["kernel_parts"] = kernel_parts(kernels)
        found["kernels"] = {name[:80]: time for name, time in longest}
    return found


def kernel_parts(kernels: Mapping[str, float]) -> dict[str, float]:
    """The times of kernels added up by `KERNEL_PARTS`, and "rest"."""
    total: dict[str, float] = defaultdict(float)
    for name, time_taken in kernels.items():
        fitting = (part for part, pattern in KERNEL_PARTS.items() if re.search(pattern, name, re.IGNORECASE))
        total[next(fitting, "rest")] += time_taken
    return dict(total)


class _Watched:
    """An attention pass, and modules, whose times are added up by part."""

    def __init__(self, attention: AttentionPass, device: torch.device) -> None:
        self._attention, self._device = attention, device
        self._spans: list[tuple[str, Any, Any]] = []

    def attend(self, layer: int, q_BHLD: Tensor, k_BHLD: Tensor, v_BHLD: Tensor) -> Tensor:
        first = self._now()
        out = self._attention.attend(layer, q_BHLD, k_BHLD, v_BHLD)
        self._spans.append(("self-attention", first, self._now()))
        return out

    @contextmanager
    def modules(self, transformer: nn.Module) -> Iterator[None]:
        """Within the block, linear layers and norms are watched, from nothing."""
        self._spans.clear()
        starts: dict[nn.Module, Any] = {}
        hooks: list[Any] = []

        def watch(part: str, module: nn.Module) -> None:
            def before(*_: object) -> None:
                starts[module] = self._now()

            def after(*_: object) -> None:
                self._spans.append((part, starts.pop(module), self._now()))

            hooks.extend((module.register_forward_pre_hook(before), module.register_forward_hook(after)))

        for module in transformer.modules():
            if isinstance(module, nn.Linear):
                watch("linear layers", module)
            elif "norm" in type(module).__name__.lower() and not list(module.children()):
                watch("norms", module)
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def parts(self) -> dict[str, float]:
        """Milliseconds by part."""
        total: dict[str, float] = defaultdict(float)
        for part, first, last in self._spans:
            total[part] += first.elapsed_time(last) if self._device.type == "cuda" else 1e3 * (last - first)
        return dict(total)

    def _now(self) -> Any:
        if self._device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record()
            return event
        return time.thread_time() if torch.get_num_threads() == 1 else time.perf_counter()


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
