"""The experiments of the report."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.evaluation.generation.methods import budgeted_methods
from moc_engine.evaluation.reports.experiments import (
    BUDGETS,
    GROWING_SHOTS,
    LONG_CAST,
    LONG_SHOTS,
    OUTER_SHOTS,
    Experiment,
    experiments,
)

ROUTING = RoutingConfig(top_k=3)
SAMPLER = SamplerConfig(steps=7, guidance=2.0)


def _all(**retrained: Path) -> list[Experiment]:
    return list(experiments(ROUTING, SAMPLER, stories=2, long_stories=1, retrained=retrained))


def test_experiment_names_are_unique() -> None:
    titles = [experiment.title for experiment in _all()]
    assert len(set(titles)) == len(titles) > 30


def test_routers_are_compared_at_the_same_budgets_of_the_same_stories() -> None:
    compared = [experiment for experiment in _all() if experiment.group == "budget"]
    budgets: dict[str, list[int]] = {}
    for experiment in compared:
        generation = experiment.settings.generation
        budgets.setdefault(generation.router, []).append(generation.routing.top_k)
        assert generation.sampler == SAMPLER
    everything, nothing = budgets.pop("dense"), budgets.pop("own")
    assert len(everything) == len(nothing) == 1
    assert tuple(budgets) == budgeted_methods()
    assert len(budgets) >= 9
    assert all(tuple(tried) == BUDGETS for tried in budgets.values())
    assert len({(e.settings.seed, e.settings.generation.seed, e.settings.stories) for e in compared}) == 1


def test_absences_are_those_of_long_stories_with_large_casts() -> None:
    long = [experiment.settings for experiment in _all() if experiment.group == "absence"]
    assert {(e.stories, e.shots, e.cast) for e in long} == {(1, LONG_SHOTS, LONG_CAST)}


def test_each_ablation_changes_one_thing() -> None:
    ablations = {e.name: e.settings for e in _all() if e.group == "ablation"}
    whole = ablations.pop("nothing")
    for name, evaluation in ablations.items():
        generation, own = evaluation.generation, whole.generation
        assert replace(evaluation, generation=own) == whole, name
        before, after = (_flat(asdict(p)) for p in (own, generation))
        changed = {setting for setting in before if before[setting] != after[setting]}
        if name.startswith("chunks by frame"):  # larger chunks: fewer of them have as many tokens
            assert changed == {"chunking", "top_k"}
        else:
            assert len(changed) == 1, name


def _flat(settings: dict[str, Any]) -> dict[str, Any]:
    routing, sampler = settings.pop("routing"), settings.pop("sampler")
    return {**settings, **routing, **sampler}


def test_models_with_other_training_use_the_same_settings(tmp_path: Path) -> None:
    own, other = (e for e in _all(sparse=tmp_path) if e.group == "retrained")
    assert own.settings == other.settings
    assert (own.model, other.model) == (None, tmp_path)
    assert not [e for e in _all() if e.group == "retrained"]


def test_methods_with_weights_of_their_own_are_compared_in_short_and_long_stories(tmp_path: Path) -> None:
    trained = {"moc": tmp_path / "one", "moga": tmp_path / "other"}
    found = list(experiments(ROUTING, SAMPLER, stories=2, long_stories=1, methods=("moc",), trained=trained))
    own = [experiment for experiment in found if experiment.group in ("trained", "trained-long")]
    assert [(e.group, e.name, e.model) for e in own] == [
        (group, name, folder) for group in ("trained", "trained-long") for name, folder in trained.items()
    ]
    assert all(e.settings.generation.router == e.name for e in own)
    assert [e.settings.shots for e in own] == [8, 8, LONG_SHOTS, LONG_SHOTS]
    compared = {e.settings.generation.router for e in found if e.group in ("budget", "absence")}
    assert compared == {"moc", "dense", "own"}


def test_zero_long_stories_are_refused() -> None:
    with pytest.raises(ValueError, match="long_stories"):
        list(experiments(ROUTING, SAMPLER, stories=2, long_stories=0))


def test_stories_grow_with_and_without_the_outer_loop() -> None:
    growing = [
        e.settings for e in experiments(ROUTING, SAMPLER, stories=2, long_stories=16) if e.group == "outer"
    ]
    assert [(e.shots, e.stories) for e in growing[::2]] == [(32, 16), (64, 8), (128, 4), (256, 2)]
    for without, outer in zip(growing[::2], growing[1::2], strict=True):
        routing = replace(without.generation.routing, outer_shots=OUTER_SHOTS)
        assert outer == replace(without, generation=replace(without.generation, routing=routing))
    assert [e.settings.stories for e in _all() if e.group == "outer"] == [1] * 2 * len(GROWING_SHOTS)


def test_every_model_is_read_with_moc_and_densely(tmp_path: Path) -> None:
    readings = [e for e in _all(sparse=tmp_path) if e.group == "reading"]
    assert [(e.model, e.settings.generation.router) for e in readings] == [
        (model, router) for model in (None, tmp_path) for router in ("moc", "dense")
    ]
    first, *others = (
        replace(e.settings, generation=replace(e.settings.generation, router="moc")) for e in readings
    )
    assert all(settings == first for settings in others)
