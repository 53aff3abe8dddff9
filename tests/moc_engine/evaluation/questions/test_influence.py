"""The influence study on pairs with known results, and a small study end to end."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.evaluation.generation.settings import EvaluationSettings, GenerationSettings
from moc_engine.evaluation.measures.change import PARTS, VISIBLE_AREA, Change
from moc_engine.evaluation.measures.predictors import CONTEXT_SHARE, LARGEST_SHOWN
from moc_engine.evaluation.questions.influence import Influence, Pair, Prediction, Threshold, measure, study
from moc_engine.evaluation.reports.influence_plot import draw, running_quantiles, write_plot
from tests.fakes.models import tiny_backbone

SMALL = EvaluationSettings(
    stories=1,
    shots=3,
    cast=2,
    tokens=1,
    generation=GenerationSettings(routing=RoutingConfig(), sampler=SamplerConfig(steps=2, guidance=1.0)),
)


def _change(amount: float, *, named: bool = False) -> Change:
    """A change, visible in pixels from .5 on; with `named` also in the scene."""
    parts = dict.fromkeys(PARTS, 0.0) | {"shape": float(named)}
    return Change(scene=amount, pixels=amount, area=amount * 2 * VISIBLE_AREA, parts=parts)


def _pairs() -> list[Pair]:
    """Four pairs in each of four stories; the share predicts the change, the other number does not."""
    return [
        Pair(
            story=story,
            shot=4,
            source=source,
            predicted={CONTEXT_SHARE: share, LARGEST_SHOWN: 1.0 - share, "nothing": 0.5},
            change=_change(share, named=share > 0.6),
        )
        for story in range(4)
        for source, share in enumerate((0.1, 0.3, 0.5, 0.7))
    ]


def _prediction(found: Influence, name: str) -> Prediction:
    return next(prediction for prediction in found.predictions if prediction.name == name)


def _threshold(found: Influence, least: float) -> Threshold:
    return next(t for t in found.thresholds if t.name == CONTEXT_SHARE and t.least == least)


def test_a_predictor_of_the_change_is_distinguished_from_others() -> None:
    found = study(_pairs())
    assert found.pairs == 16
    assert (found.visible.value, found.seen_in_scene, found.seen_in_pixels) == (0.5, 0.25, 0.5)
    assert found.parts == dict.fromkeys(PARTS, 0.0) | {"shape": 0.25}
    right, wrong = (_prediction(found, name) for name in (CONTEXT_SHARE, LARGEST_SHOWN))
    for kind in ("scene", "pixels", "scene_within", "pixels_within"):
        assert getattr(right, kind).value == pytest.approx(1.0)
        assert getattr(wrong, kind).value == pytest.approx(-1.0)
    assert (right.auc.value, right.scene_auc.value, wrong.auc.value) == (1.0, 1.0, 0.0)
    assert (right.precision, wrong.precision) == (1.0, 0.5)
    assert np.isnan(_prediction(found, "nothing").pixels.value)


def test_a_threshold_has_a_recall_and_a_flagged_share() -> None:
    found = study(_pairs())
    low, exact, high = (_threshold(found, least) for least in (0.3, 0.5, 0.6))
    assert (low.flagged, low.precision.value, low.recall.value) == (0.75, pytest.approx(2 / 3), 1.0)
    assert (exact.precision.value, exact.recall.value) == (1.0, 1.0)
    assert (high.flagged, high.precision.value, high.recall.value) == (0.25, 1.0, 0.5)
    assert (low.scene_precision.value, low.scene_recall.value) == (pytest.approx(1 / 3), 1.0)


def test_without_pairs_there_is_no_study() -> None:
    with pytest.raises(ValueError, match="shots"):
        study([])


def test_a_model_is_measured_on_its_own_takes() -> None:
    heard: list[int] = []
    pairs = measure(tiny_backbone(), replace(SMALL, stories=2), report=heard.append)
    assert heard == [2]
    assert {(p.story, p.shot, p.source) for p in pairs} == {
        (s, shot, source) for s in (0, 1) for shot, source in ((1, 0), (2, 0), (2, 1))
    }
    alone = [pair for pair in pairs if pair.shot == 1]
    assert [pair.share for pair in alone] == pytest.approx([1.0, 1.0])
    assert all(pair.change.pixels >= 0.0 for pair in pairs)
    assert any(pair.change.scene > 0.0 for pair in pairs)
    assert len(measure(tiny_backbone(), SMALL, pairs=1)) == 2


def test_running_quantiles_follow_the_shares() -> None:
    share = np.array([0.4, 0.1, 0.3, 0.2])
    where, (low, middle, high) = running_quantiles(share, share * 10, window=3)
    assert where == pytest.approx([0.2, 0.3])
    assert middle == pytest.approx([2.0, 3.0])
    assert (low < middle).all()
    assert (middle < high).all()


def test_the_plot_shows_its_correlation(tmp_path: Path) -> None:
    pairs = _pairs()
    found = study(pairs)
    left, right = draw(pairs, found, threshold=0.15).axes
    for axes, told in ((left, "1.00 (1.00–1.00)"), (right, "-1.00 (-1.00–-1.00)")):
        assert f"Spearman {told} over all pairs" in axes.get_title(loc="left")
    write_plot(pairs, found, tmp_path / "plot.png", threshold=0.15)
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
