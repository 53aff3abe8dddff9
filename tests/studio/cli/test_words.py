from __future__ import annotations

import json

import pytest

from moc_engine.vocabulary import words
from studio.cli.main import main


def test_every_kind_and_word_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["words"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line and not line.startswith(" ")] == list(words())
    assert any(line.startswith("  beach ") and "seaside" in line for line in lines)
    assert max(map(len, lines)) <= 90


def test_one_kind_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["words", "set", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["set"]


def test_what_a_word_means(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["words", "Seaside", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)["set"]) == ["beach"]


def test_an_unknown_word_is_told_with_one_like_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["words", "seasid"]) == 1
    assert capsys.readouterr().err == "the embedded model does not know 'seasid'; did you mean 'seaside'?\n"
