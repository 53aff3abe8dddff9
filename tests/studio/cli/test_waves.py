"""`moc-studio eval waves`: simulated films by several workers."""

from __future__ import annotations

import json

import pytest

from studio.cli.main import main
from studio.cli.waves import FILMS, WORKERS


def test_each_film_is_told_with_each_number_of_workers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "waves", "--shots", "12", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(one["film"], one["workers"]) for one in found] == [(film, n) for film in FILMS for n in WORKERS]
    assert all(one["at_least"] <= one["seconds"] * (1 + 1e-9) for one in found)
    line = [one for one in found if one["film"] == "line"]
    assert {one["seconds"] for one in line} == {line[0]["seconds"]}
    assert {one["seen"] for one in line} == {1.0}
    alone, *_, most = (one for one in found if one["film"] == "finished")
    assert (alone["seen"], most["seen"] < 1, most["seconds"] < alone["seconds"]) == (1.0, True, True)


def test_the_figures_are_printed_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "waves", "--shots", "4"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["film", "workers", "waves", "time", "at", "least", "above", "seen"]
    assert len(rows) == len(FILMS) * len(WORKERS)
    assert main(["eval", "waves", "--shots", "0"]) == 2
