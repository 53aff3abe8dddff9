from __future__ import annotations

from pathlib import Path

import pytest

from moc_engine.training.toon.toon_presets import PRESETS
from studio.cli import train_toon
from studio.cli.main import main


def test_minutes_without_sense_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["train", "toon", "--out", str(out), "--minutes", "-1"]) == 2
    assert "--minutes: must be above 0, got -1.0" in capsys.readouterr().err
    assert not out.exists()


def test_every_preset_is_offered() -> None:
    assert list(train_toon.PRESETS) == list(PRESETS)
    assert all(preset().held_out < preset().stories for preset in PRESETS.values())
