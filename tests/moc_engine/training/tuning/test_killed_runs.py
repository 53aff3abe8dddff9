import os
import signal
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from moc_engine.training.options import CHECKPOINT
from tests.fakes.killed_tuning import LIVES
from tests.fakes.tuning_forks import TuningForks
from tests.fakes.tuning_runs import run_plan


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_run_that_is_killed_ten_times_is_the_run_it_would_have_been(
    tmp_path: Path, forks: TuningForks
) -> None:
    run_plan(tmp_path)
    assert forks.codes("killed", tmp_path) == [0, *([-signal.SIGKILL] * len(LIVES)), 0]

    unbroken, killed = (torch.load(tmp_path / name / CHECKPOINT) for name in ("unbroken", "killed"))
    assert killed["history"] == unbroken["history"]
    assert [step for step, _ in killed["history"]["loss"]] == list(range(6))
    assert [step for step, _ in killed["history"]["recall"]["gain of memory"]] == [3, 6]
    for name in ("model", "optimizer", "average"):
        _assert_equal(killed[name], unbroken[name])
    loras = [load_file(tmp_path / name / "lora" / f"{name}.safetensors") for name in ("unbroken", "killed")]
    _assert_equal(*loras)
    names = {path.name for path in (tmp_path / "killed").iterdir()}
    assert names == {CHECKPOINT, "lora", "history.json", "curve.png"}


def _assert_equal(one: object, other: object) -> None:
    """Nested dicts and lists are equal, and tensors in every bit."""
    if isinstance(one, torch.Tensor):
        assert isinstance(other, torch.Tensor)
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert isinstance(other, dict)
        assert one.keys() == other.keys()
        for key in one:
            _assert_equal(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert isinstance(other, list | tuple)
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            _assert_equal(mine, theirs)
    else:
        assert one == other
