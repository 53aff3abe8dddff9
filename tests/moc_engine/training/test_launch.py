import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from moc_engine.training.launch import launch, usual_processes
from moc_engine.training.options import TrainingOptions

TRAINING = "moc_engine.evaluation.training_run"
PATIENCE = 60.0

PARENT = """
import signal
import sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever was inherited
from pathlib import Path
from moc_engine.training.launch import launch
from moc_engine.training.options import TrainingOptions
options = TrainingOptions(preset="cpu", out=Path(sys.argv[1]))
sys.exit(launch("moc_engine.evaluation.training_run", options.arguments(), 2))
"""


def _until(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not true() and time.monotonic() < deadline:
        time.sleep(0.1)
    return true()


def _mentioning(word: str) -> list[int]:
    """Running processes with `word` on their command line."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and word in (folder / "cmdline").read_text():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_the_cpu_recipe_takes_two_cores() -> None:
    assert usual_processes("cpu") == min(2, len(os.sched_getaffinity(0)))
    assert usual_processes("gpu") == 1


def test_two_processes_train_one_run(tmp_path: Path) -> None:
    options = TrainingOptions(preset="smoke", out=tmp_path, steps=2)
    assert launch(TRAINING, options.arguments(), 2) == 0
    assert torch.load(tmp_path / "checkpoint.pt")["step"] == 2
    assert "| processes | 2 |" in (tmp_path / "model" / "README.md").read_text()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_nobody_outlives_the_one_who_launched(tmp_path: Path) -> None:
    out = tmp_path / "run"
    for end, code in ((signal.SIGTERM, 143), (signal.SIGINT, -signal.SIGINT)):
        parent = subprocess.Popen([sys.executable, "-c", PARENT, out], stderr=subprocess.DEVNULL)
        assert _until(lambda: len(_mentioning(str(out))) == 3)
        parent.send_signal(end)
        assert parent.wait(PATIENCE) == code
        assert _until(lambda: not _mentioning(str(out)))
