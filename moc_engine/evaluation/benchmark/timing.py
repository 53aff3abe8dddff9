"""Times measured side by side: several pieces of work in turns, in one process."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable, Mapping
from itertools import count
from random import Random
from typing import Final

import torch

Work = Callable[[], object]

ROUNDS: Final = 9
"""Rounds measured at most."""

MIN_ROUNDS: Final = 3


def clock_of(device: torch.device) -> str:
    """Which time is measured: "cuda events", "wall" or, with one thread, "thread" (its CPU time)."""
    if device.type == "cuda":
        return "cuda events"
    return "thread" if torch.get_num_threads() == 1 else "wall"


def milliseconds(work: Work, device: torch.device) -> float:
    """The time of one run of `work`, by the clock of the device."""
    if device.type == "cuda":
        first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        first.record()
        work()
        last.record()
        last.synchronize()
        return float(first.elapsed_time(last))
    now = time.thread_time if torch.get_num_threads() == 1 else time.perf_counter
    started = now()
    work()
    return 1e3 * (now() - started)


def side_by_side(
    works: Mapping[str, Work], device: torch.device, *, seconds: float, rounds: int = ROUNDS
) -> dict[str, list[float]]:
    """Milliseconds of each piece of work, round by round, each round in an order of its own.

    One round is run before those that count. Stops after `rounds`, or once `seconds` have passed and there
    are `MIN_ROUNDS`.
    """
    names = list(works)
    times: dict[str, list[float]] = {name: [] for name in names}
    deadline = time.monotonic() + seconds
    for name in names:
        works[name]()
    gc.collect()
    for nth in count():
        if nth >= rounds or (nth >= min(rounds, MIN_ROUNDS) and time.monotonic() > deadline):
            return times
        for name in Random(nth).sample(names, len(names)):
            times[name].append(milliseconds(works[name], device))
    raise AssertionError


def extra_mebibytes(work: Work, device: torch.device) -> float:
    """The peak of memory that `work` allocates beside what is there already, in MiB."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        kept = work()
        torch.cuda.synchronize()
        del kept
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    return _cpu_peak(work) / 2**20


def _cpu_peak(work: Work) -> int:
    """The peak of the bytes that torch holds on the CPU, from the profiler's record of every allocation."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "9")  # it writes to stderr when it starts and stops
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True, acc_events=True
    ) as profile:
        kept = work()
    del kept
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak
