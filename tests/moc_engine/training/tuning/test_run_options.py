from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pytest

from moc_engine.config import MemoryConfig
from moc_engine.errors import CheckpointError
from moc_engine.training.options import CHECKPOINT
from moc_engine.training.tuning.plan import TuningPlan, write_plan
from moc_engine.training.tuning.recipe import ATTENTION, SparsityStage
from moc_engine.training.tuning.run_options import add_options, read_options

NEW = ["--model", "a/b", "--data", "films"]


def _read(out: Path, *words: str, kind: Any = "lora") -> TuningPlan:
    parser = ArgumentParser()
    add_options(parser, kind)
    return read_options(parser.parse_args(["--out", str(out), *words]), kind)


def test_what_is_given_stands_in_place_of_the_presets(tmp_path: Path) -> None:
    plan = _read(
        tmp_path,
        *NEW,
        *("--preset", "quick", "--rank", "4", "--targets", "attention", "--shots", "2-3"),
        *("--stages", "dense:0.5,4:1", "--no-checkpointing", "--held-out", "3", "--save-steps", "7"),
    )
    recipe = plan.recipe
    assert (plan.model, plan.data, plan.preset, plan.held_out) == ("a/b", Path("films"), "quick", 3)
    assert (recipe.kind, recipe.steps, recipe.rank, recipe.targets) == ("lora", 200, 4, ATTENTION)
    assert recipe.stages == (SparsityStage(until=0.5, top_k=None), SparsityStage(until=1.0, top_k=4))
    assert (recipe.shots, recipe.checkpointing, plan.settings.save_steps) == ((2, 3), False, 7)
    assert _read(tmp_path, *NEW, "--targets", "to_q,to_k").recipe.targets == ("to_q", "to_k")
    assert _read(tmp_path, *NEW, "--shots", "4").recipe.shots == (4, 4)


def test_a_new_run_needs_a_model_and_footage_and_a_folder_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^model: is needed"):
        _read(tmp_path, "--data", "films")
    with pytest.raises(ValueError, match=r"^data: is needed"):
        _read(tmp_path, "--model", "a/b")
    with pytest.raises(ValueError, match=r"^resume: there is no checkpoint"):
        _read(tmp_path, "--resume")
    (tmp_path / CHECKPOINT).touch()
    with pytest.raises(ValueError, match=r"^out: .* already holds a run"):
        _read(tmp_path, *NEW)


def test_a_resumed_run_knows_its_options(tmp_path: Path) -> None:
    write_plan(tmp_path, _read(tmp_path, *NEW, "--rank", "4", "--minutes", "5"))
    (tmp_path / CHECKPOINT).touch()
    again = _read(tmp_path, "--resume", "--steps", "9", "--rank", "4", "--data", "moved")
    assert (again.recipe.rank, again.recipe.steps, again.data) == (4, 9, Path("moved"))
    assert again.settings.minutes is None
    with pytest.raises(CheckpointError, match="it differs in learning_rate, rank"):
        _read(tmp_path, "--resume", "--rank", "8", "--learning-rate", "1")
    with pytest.raises(CheckpointError, match="holds a run of train lora"):
        _read(tmp_path, "--resume", kind="full")


def test_stages_may_have_shots_and_stories_of_their_own(tmp_path: Path) -> None:
    plan = _read(tmp_path, *NEW, "--stages", "dense:0.2:2-3,8:0.4::dawn: one,5:1:4:night")
    assert plan.recipe.stages == (
        SparsityStage(until=0.2, top_k=None, shots=(2, 3)),
        SparsityStage(until=0.4, top_k=8, stories="dawn: one"),
        SparsityStage(until=1.0, top_k=5, shots=(4, 4), stories="night"),
    )


def test_a_run_may_remember_as_renders_do(tmp_path: Path) -> None:
    assert _read(tmp_path, *NEW).recipe.memory() == MemoryConfig()
    recipe = _read(tmp_path, *NEW, "--memory-policy", "change", "--keyframes", "4").recipe
    assert recipe.memory() == MemoryConfig(policy="change", keyframes=4)
    with pytest.raises(ValueError, match=r"^memory_policy: unknown memory policy 'none'; there are all, "):
        _read(tmp_path, *NEW, "--memory-policy", "none")


def test_a_run_goes_on_with_its_own_stages_alone(tmp_path: Path) -> None:
    words = ("--stages", "dense:0.5:2-2:dawn,4:1", "--shots", "2-3", "--targets", "attention")
    write_plan(tmp_path, _read(tmp_path, *NEW, *words))
    (tmp_path / CHECKPOINT).touch()
    assert _read(tmp_path, "--resume", *words) == _read(tmp_path, "--resume")
    for changed in ("dense:0.5:2-2:dusk,4:1", "dense:0.5:2-3:dawn,4:1", "dense:0.5,4:1", "4:1"):
        with pytest.raises(CheckpointError, match=r"it differs in stages$"):
            _read(tmp_path, "--resume", "--stages", changed)
    with pytest.raises(CheckpointError, match=r"it differs in held_out$"):
        _read(tmp_path, "--resume", "--held-out", "7")
