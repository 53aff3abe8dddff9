from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from moc_engine.models.animatic.model import ModelConfig, build, save
from studio.cli.main import main

SMALL = ("--stories", "1", "--shots", "3", "--tokens", "1", "--cast", "2", "--steps", "2", "--seed", "3")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    folder: Path = tmp_path_factory.mktemp("tiny") / "model"
    tiny = ModelConfig(layers=1, heads=2, head_width=16, text_layers=1, text_width=32, text_heads=2)
    save(build(tiny), folder)
    return str(folder)


def test_figures_settings_and_a_plot(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plot = tmp_path / "share.png"
    way = ["eval", "influence", "--model", model, *SMALL]
    assert main([*way, "--plot", str(plot), "--json"]) == 0
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert told["settings"]["pairs"] == "each"
    assert told["settings"]["steps"] == 2
    assert "@" in told["settings"]["model"]
    assert told["figures"]["pairs"] == 3
    assert {p["name"] for p in told["figures"]["predictions"]} >= {
        "share of context",
        "share of all attention",
    }
    assert plot.exists()
    assert main([*way, "--pairs", "1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "pairs 1" in lines[0]
    assert lines[1].startswith("2 pairs of a shot and a banned context shot")
    assert any(line.startswith("share of context 0.15 ") for line in lines)


@pytest.mark.parametrize(
    ("option", "value"), [("--stories", "0"), ("--shots", "1"), ("--pairs", "0"), ("--steps", "0")]
)
def test_wrong_use(model: str, capsys: pytest.CaptureFixture[str], option: str, value: str) -> None:
    assert main(["eval", "influence", "--model", model, f"{option}={value}"]) == 2
    assert capsys.readouterr().err.startswith(f"moc-studio: {option}: must be ")
