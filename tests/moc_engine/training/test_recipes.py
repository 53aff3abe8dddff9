from dataclasses import replace
from pathlib import Path

from moc_engine.model_index import EMBEDDED
from moc_engine.training.options import PRESETS, TECHNIQUES, TRAINED_ROUTERS, TrainingOptions
from moc_engine.training.recipes import RECIPES, recipe


def test_every_preset_has_a_recipe_of_its_name() -> None:
    assert tuple(RECIPES) == PRESETS
    assert all(RECIPES[name]().name == name for name in PRESETS)


def test_wishes_lie_over_the_recipe(tmp_path: Path) -> None:
    plan = recipe(TrainingOptions(preset="gpu", out=tmp_path, steps=7, minutes=2.0))
    assert (plan.steps, plan.piece_minutes) == (7, 2.0)
    own = recipe(TrainingOptions(preset="gpu", out=tmp_path))
    assert own == RECIPES["gpu"]()


def test_a_habit_is_left_out_and_no_other(tmp_path: Path) -> None:
    whole = RECIPES["cpu"]()
    plans = {
        habit: recipe(TrainingOptions(preset="cpu", out=tmp_path, without=(habit,))) for habit in TECHNIQUES
    }
    assert {stage.top_k for stage in plans["gradual"].stages} == {whole.stages[-1].top_k}
    assert plans["drop"].routing == replace(whole.routing, drop_off=0.0, drop_in=0.0)
    assert (plans["steering"].pins, plans["steering"].bans) == (0.0, 0.0)
    assert {habit: plan.without for habit, plan in plans.items()} == {habit: (habit,) for habit in TECHNIQUES}
    assert replace(plans["gradual"], stages=whole.stages, without=()) == whole
    assert replace(plans["drop"], routing=whole.routing, without=()) == whole
    assert replace(plans["steering"], pins=whole.pins, bans=whole.bans, without=()) == whole


def test_routers_are_trained_with_the_same_steps_and_stories(tmp_path: Path) -> None:
    whole = RECIPES["trial"]()
    plans = {
        router: recipe(TrainingOptions(preset="trial", out=tmp_path, router=router, origin=EMBEDDED))
        for router in TRAINED_ROUTERS
    }
    budgets = {router: {stage.top_k for stage in plan.stages} for router, plan in plans.items()}
    assert budgets == {
        "moc": {None, 8, 5, 3},
        "dense": {None},
        "own": {None},
        "moga": {None, 8, 5, 3},
        "vorta": {3},
    }
    for router, plan in plans.items():
        assert plan.router == router
        stages = tuple(replace(stage, top_k=0) for stage in plan.stages)
        assert stages == tuple(replace(stage, top_k=0) for stage in whole.stages)
        assert replace(plan, stages=whole.stages, router="moc") == whole
