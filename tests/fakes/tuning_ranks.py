"""A run by one process, by two, and by two with FSDP, each forked by `tests.fakes.tuning_forks`."""

from __future__ import annotations

import os
import socket
import warnings
from dataclasses import replace
from pathlib import Path

from moc_engine.training.tuning.plan import TuningPlan
from moc_engine.training.tuning.start import start
from tests.fakes.tuning_runs import run_plan


def _rank(plan: TuningPlan, out: Path, environment: dict[str, str]) -> int:
    """Forks a process of the run; its id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.environ |= environment
            warnings.filterwarnings("ignore", "FSDP2-wrapped module")
            start(plan, out)
            code = 0
        finally:
            os._exit(code)
    return child


def _run(plan: TuningPlan, out: Path, processes: int) -> list[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    together = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes)}
    environments = [{**together, "RANK": str(n), "LOCAL_RANK": str(n)} for n in range(processes)]
    ranks = [_rank(plan, out, environment if processes > 1 else {}) for environment in environments]
    return [os.waitstatus_to_exitcode(os.waitpid(rank, 0)[1]) for rank in ranks]


def one_and_two(folder: Path) -> list[int]:
    """How the processes of the three runs ended. The folder has base and cache."""
    alone = run_plan(folder, steps=2, accumulation=2)
    shared = replace(alone, recipe=replace(alone.recipe, accumulation=1))
    spread = replace(shared, settings=replace(shared.settings, shard=True))
    runs = ((alone, "one", 1), (shared, "two", 2), (spread, "spread", 2))
    return [code for plan, name, count in runs for code in _run(plan, folder / name, count)]
