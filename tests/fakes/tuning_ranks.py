"""`python -m tests.fakes.tuning_ranks DIR`: a run by one process, by two, and by two with FSDP.

DIR has base and cache. The processes are forked here, so that everything is imported once.
"""

from __future__ import annotations

import os
import socket
import sys
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


def _run(plan: TuningPlan, out: Path, processes: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    together = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(processes)}
    environments = [{**together, "RANK": str(n), "LOCAL_RANK": str(n)} for n in range(processes)]
    ranks = [_rank(plan, out, environment if processes > 1 else {}) for environment in environments]
    codes = [os.waitstatus_to_exitcode(os.waitpid(rank, 0)[1]) for rank in ranks]
    assert codes == [0] * processes, f"{out.name}: {codes}"


def main() -> None:
    folder = Path(sys.argv[1])
    alone = run_plan(folder, steps=2, accumulation=2)
    shared = replace(alone, recipe=replace(alone.recipe, accumulation=1))
    spread = replace(shared, settings=replace(shared.settings, shard=True))
    _run(alone, folder / "one", 1)
    _run(shared, folder / "two", 2)
    _run(spread, folder / "spread", 2)


if __name__ == "__main__":
    main()
