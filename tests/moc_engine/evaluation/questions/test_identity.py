"""The identity study on given vectors, some of which distinguish looks, and a small study end to end."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.evaluation.generation.settings import EvaluationSettings, GenerationSettings
from moc_engine.evaluation.questions.identity import (
    LATENTS,
    METRICS,
    PORTRAIT,
    SOURCES,
    Appearance,
    Feature,
    Pairs,
    collect,
    study,
    subjects,
)
from tests.fakes.models import tiny_animatic, tiny_backbone
from tests.fakes.stories import story

GOOD: Feature = (0, "value", 0.0)
BAD: Feature = (1, "key", 0.5)
LOOKS = ((0, 0.1), (0, 0.12), (3, 0.9), (3, 0.88))
"""The shape and brightness of a character in four shots, with two looks."""


def _truth(shape: int, brightness: float) -> NDArray[np.float64]:
    colour = np.full(6, brightness / 3)
    return np.concatenate([np.eye(6)[shape] / 2, np.zeros(5), colour])


def _appearances() -> list[Appearance]:
    rng = np.random.default_rng(0)
    found = []
    for number in range(4):
        for source in SOURCES:
            for shot, (shape, brightness) in enumerate(LOOKS):
                truth = _truth(shape, brightness)
                vectors: Mapping[Feature, NDArray[np.float32]] = {
                    GOOD: np.append(truth, 1.0).astype(np.float32),
                    BAD: rng.normal(size=5).astype(np.float32),
                    LATENTS: rng.normal(size=5).astype(np.float32),
                    **({PORTRAIT: np.append(truth, 2.0).astype(np.float32)} if shot else {}),
                }
                found.append(
                    Appearance(
                        story=number,
                        shot=shot,
                        source=source,
                        subject="character",
                        name=1,
                        truth=truth,
                        vectors=vectors,
                    )
                )
    return found


def test_the_best_feature_source_is_chosen_and_reported() -> None:
    found = study(_appearances())
    assert (found.best.layer, found.best.kind, found.best.noise) == GOOD
    assert found.best.auc == 1.0
    assert len(found.candidates) == 2 * len(METRICS)
    assert found.candidates[0] is found.best
    results = {(t.source, t.among): t for t in found.results}
    one_film = results["generated", "one name, one film"]
    assert one_film.pairs == 2 * 6  # two stories with an odd index, pairs of four shots
    assert one_film.same == pytest.approx(2 / 6)
    assert (one_film.auc.value, one_film.balanced_accuracy) == (1.0, 1.0)
    assert one_film.correlation.value > 0.8
    assert results["generated", "all"].pairs == 7 * 8 // 2
    assert all(t.auc.value < 1.0 for t in found.latents)
    (portrayed,) = [t for t in found.portraits if (t.source, t.among) == ("generated", "one name, one film")]
    assert portrayed.pairs == 2 * 3  # of characters that a caption names
    assert portrayed.auc.value == 1.0


def test_stories_are_split_for_choosing_and_reporting() -> None:
    with pytest.raises(ValueError, match="stories"):
        study([a for a in _appearances() if a.story == 0])


def test_pairs_are_of_different_takes_with_the_distance_of_their_looks() -> None:
    one, other = _appearances()[0], _appearances()[2]
    twin = replace(one, name=2)  # in the same take
    pairs = Pairs([one, twin, other])
    assert pairs.among("all").sum() == 2
    assert pairs.among("one name").tolist() == [True, False]
    assert pairs.truth == pytest.approx([1.0 + 2 * 0.8] * 2)
    assert not pairs.same.any()
    assert pairs.distances(GOOD, "euclidean") == pytest.approx(
        [np.linalg.norm(one.vectors[GOOD] - other.vectors[GOOD])] * 2, abs=1e-6
    )


def test_generated_scenes_give_the_looks_of_characters() -> None:
    told = story(0)
    for shot in told.shots[:4]:
        found = {(subject, name): (slot, truth) for subject, name, slot, truth in subjects(shot.scene)}
        for actor in shot.script.actors:
            slot, truth = found["character", actor.cast]
            assert 2 <= slot <= 4
            assert truth[:6].argmax() == actor.look.shape
        assert ("set", shot.script.place.kind) in found


def test_a_small_study_runs_end_to_end() -> None:
    evaluation = EvaluationSettings(
        stories=2,
        shots=3,
        cast=2,
        tokens=1,
        generation=GenerationSettings(routing=RoutingConfig(), sampler=SamplerConfig(steps=1, guidance=1.0)),
    )
    heard: list[int] = []
    appearances = collect(
        tiny_backbone(), tiny_animatic(), evaluation, noises=(0.0, 0.5), report=heard.append
    )
    assert heard == [1, 2]
    assert {a.source for a in appearances} == set(SOURCES)
    assert len(appearances[0].vectors.keys() - {PORTRAIT}) == 1 + 2 * 2 * 4
    assert any(PORTRAIT in a.vectors for a in appearances)
    assert {t.noise for t in study(appearances).candidates} == {0.0, 0.5}
