"""Compiles kernels before anything is timed: several processes each run a share of all work once.

Triton and inductor keep what they compile on the disk, where the measuring process finds it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

import torch

from moc_engine.evaluation.benchmark.attention import timed_work
from moc_engine.evaluation.benchmark.cases import attention_cases
from moc_engine.evaluation.benchmark.contestant import NotPossible
from moc_engine.evaluation.benchmark.contestants import contestants
from moc_engine.evaluation.benchmark.story import build_story

PROCESSES: Final = 8
"""At most; each holds a story on the device."""

PATIENCE: Final = 240.0
"""Seconds after which compiling is given up; what is missing is compiled where it is first used."""


def compile_in_parallel(device: torch.device, *, tiny: bool, only: Sequence[str]) -> None:
    """Starts the processes and waits for them."""
    count = max(1, min(PROCESSES, (os.cpu_count() or 1) - 2))
    command = [
        sys.executable,
        "-m",
        "moc_engine.evaluation.benchmark",
        "--device",
        device.type,
        "--threads",
        "1",
    ]
    command += ["--tiny"] * tiny + (["--only", ",".join(only)] if only else [])
    running = [subprocess.Popen([*command, "--compile-share", str(nth), str(count)]) for nth in range(count)]
    for process in running:
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def compile_share(device: torch.device, nth: int, of: int, *, tiny: bool, only: Sequence[str]) -> None:
    """Runs every `of`-th contestant of all cases once, beginning with the `nth`."""
    turn = -1
    for case in attention_cases(device.type, tiny=tiny):
        if only and case.name not in only and case.part not in only:
            continue
        story = None
        for contestant in contestants(device, case, compiled=not tiny):
            turn += contestant.kind != "dense"
            if turn % of != nth or contestant.kind == "dense":
                continue
            story = story or build_story(case, device)
            try:
                timed_work(contestant, story)()
            except (NotPossible, RuntimeError) as error:
                print(f"{case.name}, {contestant.name}: {error}", file=sys.stderr)
