from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from moc_engine.models.animatic.model import ModelConfig, build, save
from studio.cli.main import main

SMALL = ("--stories", "2", "--shots", "3", "--tokens", "1", "--cast", "2", "--steps", "1")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    folder: Path = tmp_path_factory.mktemp("tiny") / "model"
    tiny = ModelConfig(layers=1, heads=2, head_width=16, text_layers=1, text_width=32, text_heads=2)
    save(build(tiny), folder)
    return str(folder)


def test_every_reading_is_in_the_table(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    way = ["eval", "identity", "--model", model, *SMALL]
    assert main([*way, "--json"]) == 0
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert told["settings"]["stories"] == 2
    assert len(told["figures"]["candidates"]) == 1 * 4 * 5 * 3
    assert told["figures"]["best"] == told["figures"]["candidates"][0]
    assert main(way) == 0
    text = capsys.readouterr().out
    for kind in ("input", "key", "value", "output"):
        assert f"\n{kind} 1 " in text
    assert "\nbest: " in text


@pytest.mark.parametrize(("option", "value"), [("--stories", "1"), ("--shots", "0"), ("--steps", "0")])
def test_wrong_use(model: str, capsys: pytest.CaptureFixture[str], option: str, value: str) -> None:
    assert main(["eval", "identity", "--model", model, f"{option}={value}"]) == 2
    assert capsys.readouterr().err.startswith(f"moc-studio: {option}: must be ")
