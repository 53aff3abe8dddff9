"""Recipes of tuning are checked when they are made, and an error names its field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from moc_engine.config import RoutingConfig
from moc_engine.training.tuning.recipe import SparsityStage, TuningRecipe


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "half"),
        ("expert", "middle"),
        ("rank", 0),
        ("rank", 1.5),
        ("alpha", 0.0),
        ("targets", ()),
        ("steps", 0),
        ("batch", True),
        ("shots", (3, 2)),
        ("shots", (0, 2)),
        ("shots", (1, 2, 3)),
        ("denoised", 0),
        ("stages", ()),
        ("stages", (SparsityStage(until=0.5, top_k=3),)),
        ("stages", (SparsityStage(until=1.0, top_k=3), SparsityStage(until=0.5, top_k=3))),
        ("chunking", "shot"),
        ("backend", "none"),
        ("memory_policy", "none"),
        ("memory_policy", "cast"),
        ("keyframes", 0),
        ("drop_off", 1.5),
        ("drop_in", -1.0),
        ("pins", 1.1),
        ("pins", 0.99),
        ("gaps", -0.1),
        ("memory_noise", 1.0),
        ("caption_dropout", float("nan")),
        ("levels", "normal"),
        ("shift", 0.0),
        ("learning_rate", float("inf")),
        ("weight_decay", -0.1),
        ("emphasis", -1.0),
        ("identity", -0.1),
        ("ema", 1.0),
        ("precision", "fp16"),
        ("optimizer", "sgd"),
        ("seed", -1),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(TuningRecipe(), **{field: value})


@pytest.mark.parametrize(
    ("field", "value"), [("until", 0.0), ("until", 1.5), ("top_k", -1), ("shots", (3, 2)), ("shots", (2,))]
)
def test_a_wrong_stage_is_refused_by_its_name(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        replace(SparsityStage(until=1.0, top_k=5), **{field: value})


def test_routing_begins_dense_and_becomes_sparser() -> None:
    recipe = TuningRecipe(steps=100)
    found = [recipe.top_k(step) for step in range(100)]
    assert found[0] is None
    assert found[-1] == 5
    sparse = [k for k in found if k is not None]
    assert sparse == sorted(sparse, reverse=True)


def test_the_routing_is_the_models_own_but_for_what_the_recipe_sets() -> None:
    own = RoutingConfig(top_k=9, chunking="frame", pooling="before", full_below="auto", outer_shots=2)
    found = TuningRecipe(drop_off=0.25, drop_in=0.0).routing(own, top_k=3)
    assert found == RoutingConfig(top_k=3, chunking="frame", pooling="before", drop_off=0.25)
    assert TuningRecipe(chunking="track").routing(own, top_k=3).chunking == "track"
