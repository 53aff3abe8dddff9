"""The report of given results."""

import re
from pathlib import Path

import numpy as np

from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.evaluation.measures.scores import Scores
from moc_engine.evaluation.questions.recall import CHANCE
from moc_engine.evaluation.reports.experiments import experiments
from moc_engine.evaluation.reports.report import Result, by_absence, by_budget, by_length, write
from tests.fakes.pictures import read_picture

_ROW = r"<tr><th>([^<]+)</th>(.+?)</tr>"


def _results() -> list[Result]:
    """Results with full recall for MoC, recall up to two shots for packed history, and none for others."""
    results = []
    for experiment in experiments(RoutingConfig(), SamplerConfig(), stories=2, long_stories=1):
        router = experiment.settings.generation.router
        scores = Scores()
        for distance in range(1, 12):
            right = router == "moc" or (router == "packed" and distance < 3)
            scores.add("shape", right, distance)
            scores.add("accessory", right, distance)
        scores.add("pruned", 0.9)
        scores.add("seconds", 0.5 * experiment.settings.shots)
        results.append(Result(experiment=experiment, figures=scores.summaries()))
    return results


def test_the_plots_show_every_router_and_the_effect_of_absence() -> None:
    results = _results()
    (axes,) = by_absence(results).axes
    lines = {str(line.get_label()): list(np.asarray(line.get_ydata())) for line in axes.lines}
    assert lines["MoC"] == [1.0] * 6
    assert lines["packed"] == [1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert lines["own shot only"] == [0.0] * 6
    assert lines["uniform guessing"] == [CHANCE] * 2
    (axes,) = by_budget(results).axes
    assert {str(line.get_label()) for line in axes.lines} == set(lines)


def test_growing_stories_have_recall_by_absence_and_the_time_of_a_shot() -> None:
    recall, times = by_length(_results()).axes
    lines = {str(line.get_label()): list(np.asarray(line.get_ydata())) for line in recall.lines}
    assert lines["32 shots, no outer loop"] == lines["256 shots, outer loop"] == [1.0] * 6
    assert len(lines) == 2 * 4 + 1
    for line in times.lines:
        assert list(np.asarray(line.get_xdata())) == [32, 64, 128, 256]
        assert list(np.asarray(line.get_ydata())) == [0.5] * 4


def test_the_page_is_self_contained_and_has_every_figure(tmp_path: Path) -> None:
    path = write(_results(), tmp_path, model="animatic@<test>")
    text = path.read_text(encoding="utf-8")
    assert "animatic@&lt;test&gt;" in text
    assert text.count("<svg") == 3
    assert "no own-shot link" in text
    figures = {row: re.findall(r"<td>([\d.]+)<", cells) for row, cells in re.findall(_ROW, text)}
    assert figures["moc, k = 3"] == figures["nothing"] == ["1.000", "1.000", "0.900", "4.000"]
    assert figures["packed, k = 3"] == ["0.182", "0.182", "0.900", "4.000"]
    assert figures["dense"][:3] == figures["own"][:3] == ["0.000", "0.000", "0.900"]
    assert "<script" not in text
    assert "src=" not in text
    for name in ("by-budget.png", "by-absence.png"):
        assert read_picture(tmp_path / name).shape[1] == 1120


def test_empty_results_can_be_drawn(tmp_path: Path) -> None:
    assert write([], tmp_path, model="none").exists()
