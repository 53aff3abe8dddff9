"""`moc-studio eval toon` on an untrained model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studio.cli.main import main
from tests.fakes.toon_folders import toon_folder


def test_recall_and_attention_of_a_toon_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    toon_folder(tmp_path / "model")
    command = ["eval", "toon", "--model", str(tmp_path / "model"), "--preset", "toon-smoke", "--stories", "2"]
    sheet = tmp_path / "sheet.png"
    assert main([*command, "--heat-stories", "1", "--sheet", str(sheet), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["settings"]["context"] == "drawn"
    assert set(found["figures"]) == {"drawn", "rebuilt", "moc", "dense", "own"}
    assert found["figures"]["drawn"]["recall"]["mean"] == 1.0
    assert set(found["pruned"]) == {"moc", "dense", "own"}
    assert sheet.stat().st_size > 0
    assert main([*command, "--heat-stories", "0"]) == 0
    assert "pairs pruned" in capsys.readouterr().out


def test_wrong_options_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "toon", "--model", "m", "--preset", "other"]) == 2
    assert "--preset: one of toon-cpu, toon-gpu, toon-smoke, got 'other'" in capsys.readouterr().err
    assert main(["eval", "toon", "--model", "m", "--steps", "0"]) == 2
    assert "--steps: must be 1 or more, got 0" in capsys.readouterr().err
