"""Films of shots that were rendered with other options than the last ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from studio.cli.main import main
from tests.fakes.renderer import FakeRenderer

STORY = """\
title: A test
size: 96x64
fps: 8
shots: [{caption: a ball, seconds: 1}, {caption: a kite, seconds: 1}, {caption: a gift, seconds: 1}]
"""


def notes(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> list[str]:
    story = folder / "story.yaml"
    story.write_text(STORY)
    arguments = ["render", str(story), "--out", str(folder / "film"), *more]
    assert main(arguments, make_renderer=lambda model: FakeRenderer()) == 0
    return [line for line in capsys.readouterr().err.splitlines() if "mixes" in line]


def test_shots_rendered_without_the_options_of_the_others_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert notes(tmp_path, capsys, "--steps", "3", "--top-k", "2") == []
    assert notes(tmp_path, capsys, "--shots", "3", "--top-k", "4") == [
        "the film mixes settings: steps is now the model's default, and 3 in the kept takes of shots 1, 2; "
        "to match them, add --steps 3",
        "the film mixes settings: top-k is now 4, and 2 in the kept takes of shots 1, 2; "
        "to match them, add --top-k 2",
    ]
    assert notes(tmp_path, capsys, "--shots", "3", "--steps", "3", "--top-k", "2") == []


def test_options_that_the_others_lacked_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert notes(tmp_path, capsys) == []
    assert notes(tmp_path, capsys, "--shots", "2", "--top-k", "2") == [
        "the film mixes settings: top-k is now 2, and the model's default in the kept takes of shots 1, 3"
    ]
