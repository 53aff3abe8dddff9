from pathlib import Path

from moc_engine.training.options import PRESETS, TrainingOptions
from moc_engine.training.recipes import RECIPES, recipe


def test_every_preset_has_a_recipe_of_its_name() -> None:
    assert tuple(RECIPES) == PRESETS
    assert all(RECIPES[name]().name == name for name in PRESETS)


def test_wishes_lie_over_the_recipe(tmp_path: Path) -> None:
    plan = recipe(TrainingOptions(preset="gpu", out=tmp_path, steps=7, minutes=2.0))
    assert (plan.steps, plan.piece_minutes) == (7, 2.0)
    own = recipe(TrainingOptions(preset="gpu", out=tmp_path))
    assert own == RECIPES["gpu"]()
