import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from moc_engine.training.options import CHECKPOINT
from tests.fakes.tuning_runs import run_plan


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_two_processes_train_as_one_with_as_many_stories(tmp_path: Path) -> None:
    """Side by side, and with the weights spread over both (FSDP)."""
    run_plan(tmp_path)
    command = [sys.executable, "-m", "tests.fakes.tuning_ranks", str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    one, two, spread = (torch.load(tmp_path / name / CHECKPOINT) for name in ("one", "two", "spread"))
    for several in (two, spread):
        _assert_close(several, one)


def _assert_close(several: dict[str, Any], one: dict[str, Any]) -> None:
    torch.testing.assert_close(several["model"], one["model"])
    torch.testing.assert_close(several["average"]["averages"], one["average"]["averages"])
    torch.testing.assert_close(several["history"], one["history"])
