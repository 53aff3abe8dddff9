import os
from pathlib import Path
from typing import Any

import pytest
import torch

from moc_engine.training.options import CHECKPOINT
from tests.fakes.tuning_forks import TuningForks
from tests.fakes.tuning_runs import run_plan


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_two_processes_train_as_one_with_as_many_stories(tmp_path: Path, forks: TuningForks) -> None:
    """Side by side, and with the weights spread over both (FSDP)."""
    run_plan(tmp_path)
    assert forks.codes("ranks", tmp_path) == [0] * 5
    one, two, spread = (torch.load(tmp_path / name / CHECKPOINT) for name in ("one", "two", "spread"))
    for several in (two, spread):
        _assert_close(several, one)


def _assert_close(several: dict[str, Any], one: dict[str, Any]) -> None:
    torch.testing.assert_close(several["model"], one["model"])
    torch.testing.assert_close(several["average"]["averages"], one["average"]["averages"])
    torch.testing.assert_close(several["history"], one["history"])
