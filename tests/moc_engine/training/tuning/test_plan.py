from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from moc_engine.errors import CheckpointError
from moc_engine.training.tuning.plan import (
    PLAN,
    RunSettings,
    TuningPlan,
    changed_names,
    read_plan,
    write_plan,
)
from moc_engine.training.tuning.presets import PRESETS, recipe_of
from moc_engine.training.tuning.recipe import SparsityStage, TuningRecipe


def _plan(**changes: Any) -> TuningPlan:
    own = {"model": "a/b", "data": Path("cache"), "preset": "sparse"}
    return TuningPlan(**{**own, "recipe": recipe_of("lora", "sparse", {}), **changes})


@pytest.mark.parametrize("kind", ["lora", "full"])
@pytest.mark.parametrize("preset", list(PRESETS))
def test_a_plan_is_read_as_it_was_written(tmp_path: Path, kind: Any, preset: str) -> None:
    settings = RunSettings(minutes=3.0, tracker="tensorboard", shard=True)
    plan = _plan(preset=preset, recipe=recipe_of(kind, preset, {"seed": 3}), settings=settings)
    write_plan(tmp_path / "run", plan)
    assert read_plan(tmp_path / "run") == plan


def test_stages_with_stories_of_their_own_are_read_as_they_were_written(tmp_path: Path) -> None:
    stages = (
        SparsityStage(until=0.5, top_k=None, shots=(3, 3), stories="one"),
        SparsityStage(until=1.0, top_k=0),
    )
    plan = _plan(recipe=TuningRecipe(stages=stages, emphasis=5.0))
    write_plan(tmp_path, plan)
    assert read_plan(tmp_path) == plan


def test_new_settings_are_fixed_where_they_are_not_their_defaults() -> None:
    before = _plan().fixed_fields()
    newer = {"emphasis", "identity", "memory_policy", "keyframes"}
    assert not newer & before.keys()  # as in checkpoints that were written without them
    assert before["stages"] == ({"until": 1.0, "top_k": 5},)
    stages = (SparsityStage(until=1.0, top_k=0, shots=(2, 2), stories="one"),)
    after = _plan(recipe=TuningRecipe(stages=stages, emphasis=5.0)).fixed_fields()
    assert after["emphasis"] == 5.0
    assert after["stages"] == ({"until": 1.0, "top_k": 0, "shots": (2, 2), "stories": "one"},)


def test_fields_in_which_plans_differ_are_named() -> None:
    stages = (SparsityStage(until=0.5, top_k=None), SparsityStage(until=1.0, top_k=2))
    plan = _plan(recipe=TuningRecipe(stages=stages))

    def changed(**fields: Any) -> list[str]:
        return changed_names(plan, replace(plan, recipe=replace(plan.recipe, **fields)))

    assert changed(stages=tuple(replace(stage) for stage in stages), emphasis=0.0) == []
    assert changed(stages=(replace(stages[0], stories="one"), stages[1])) == ["stages"]
    assert changed(stages=(replace(stages[0], until=0.4), stages[1]), emphasis=5.0) == ["emphasis", "stages"]
    assert changed(steps=7) == []
    assert changed(keyframes=4) == []  # of all frames nobody counts them
    assert changed(memory_policy="change") == ["keyframes", "memory_policy"]
    assert changed_names(plan, replace(plan, held_out=3)) == ["held_out"]


def test_a_preset_is_changed_by_what_is_given() -> None:
    assert recipe_of("lora", "quick", {}).steps == 200
    assert recipe_of("lora", "quick", {"steps": 3}).steps == 3
    assert recipe_of("full", "standard", {}).learning_rate < TuningRecipe().learning_rate
    with pytest.raises(ValueError, match="preset: one of standard, quick"):
        recipe_of("lora", "slow", {})


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"version": 1, "recipe": 3}', '{"version": 1, "recipe": {"stages": [3]}}']
)
def test_damage_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / PLAN).write_text(text)
    with pytest.raises(CheckpointError, match=r"run.json is damaged, or no plan of a run"):
        read_plan(tmp_path)


def test_a_missing_plan_and_one_of_a_newer_version_are_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no run in"):
        read_plan(tmp_path)
    (tmp_path / PLAN).write_text('{"version": 99}')
    with pytest.raises(CheckpointError, match="newer version"):
        read_plan(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("save_steps", -1),
        ("evaluation_steps", 1.5),
        ("minutes", float("nan")),
        ("device", "tpu"),
        ("sampler_steps", 0),
    ],
)
def test_settings_without_sense_are_told(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}: "):
        RunSettings(**{field: value})


def test_steps_may_change_and_what_is_learnt_may_not() -> None:
    fixed = _plan().fixed_fields()
    assert "steps" not in fixed
    assert fixed["held_out"] == 2
    assert fixed["learning_rate"] == TuningRecipe().learning_rate
    with pytest.raises(ValueError, match=r"^held_out: "):
        _plan(held_out=-1)
