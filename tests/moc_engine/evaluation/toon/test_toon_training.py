"""A toon model trained from nothing, in two pieces, by the trainer; the preset learns nothing useful."""

from __future__ import annotations

import pytest

from moc_engine.evaluation.toon.toon_report import ToonQuestion, report
from moc_engine.evaluation.toon.toon_training import RecallEvaluator
from moc_engine.model_defaults import model_defaults
from moc_engine.training.data.footage.dataset import CachedFootage
from moc_engine.training.toon.toon_run import ToonRun

PRESET = "toon-smoke"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> ToonRun:
    out = tmp_path_factory.mktemp("run")
    first = ToonRun(PRESET, out, minutes=0.0)
    assert not first.go()
    assert len(list((out / "stories").iterdir())) == 1
    second = ToonRun(PRESET, out, evaluators=(RecallEvaluator(PRESET, out),))
    assert second.go()
    return second


def test_the_result_is_a_model_of_the_studio(trained: ToonRun) -> None:
    own = model_defaults(str(trained.model))
    assert own is not None
    assert (own.size, own.fps, own.frames) == ((48, 32), 1.0, 1)
    found = report(trained.model, ToonQuestion.of_preset(PRESET, heat_stories=0))
    assert found.figures["drawn"]["recall"].mean == 1.0


def test_held_out_stories_are_not_in_the_cache(trained: ToonRun) -> None:
    names = [entry.name for entry in CachedFootage(trained.out / "footage").entries]
    assert names == ["two 000000", "main 000002", "main 000003"]


def test_recall_is_in_the_curves_of_the_run(trained: ToonRun) -> None:
    assert "recall, own shot only" in (trained.out / "tuning" / "history.json").read_text()
    card = (trained.model / "README.md").read_text()
    assert "recall, dense" in card
