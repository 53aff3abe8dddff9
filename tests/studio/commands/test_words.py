from __future__ import annotations

import json

import pytest

from moc_engine.vocabulary import words
from studio.cli import main


def test_every_kind_and_word_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["words"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line and not line.startswith(" ")] == list(words())
    assert any(line.startswith("  beach ") and "seaside" in line for line in lines)
    assert max(map(len, lines)) <= 90


def test_one_kind_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["words", "set", "--json"]) == 0
    assert list(json.loads(capsys.readouterr().out)) == ["set"]


def test_an_unknown_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["words", "smell"]) == 2
    assert capsys.readouterr().err.startswith("moc-studio: there is no kind of word 'smell'; kinds are set, ")
