import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from moc_engine.errors import CheckpointError, ModelMismatch
from moc_engine.models.animatic.model import AnimaticPipeline, ModelConfig, build, load, save
from moc_engine.training.evaluator import Panels
from moc_engine.training.loop import Run, train
from moc_engine.training.options import TrainingOptions
from moc_engine.training.recipes import Recipe, recipe


class FakeEvaluator:
    """Gives every model the same score."""

    @property
    def panels(self) -> Panels:
        return {"memory": ("shape",)}

    def evaluate(self, pipeline: AnimaticPipeline, plan: Recipe) -> dict[str, float]:
        return {"shape": 0.5}


def _train(
    out: Path, *, resume: bool = False, steps: int | None = None, minutes: float | None = None
) -> None:
    options = TrainingOptions(preset="smoke", out=out, resume=resume, steps=steps, minutes=minutes)
    train(options, FakeEvaluator())


def _losses(folder: Path) -> dict[int, float]:
    return dict(json.loads((folder / "history.json").read_text())["loss"])


@contextmanager
def _files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk, files cannot grow on; the kernel says so with an OSError."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_run_ends_with_a_model_a_curve_and_a_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    abandoned = tmp_path / "run" / ".part-1-checkpoint.pt"
    abandoned.write_text("half")
    os.utime(abandoned, (0.0, 0.0))
    _train(tmp_path / "run", steps=3)
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "checkpoint.pt",
        "curve.png",
        "history.json",
        "model",
    ]
    assert load(tmp_path / "run" / "model").transformer.config.num_layers == 2
    assert "| steps | 3 of 3 |" in (tmp_path / "run" / "model" / "README.md").read_text()


def test_a_resumed_run_is_the_run_it_would_have_been(tmp_path: Path) -> None:
    _train(tmp_path / "through")
    _train(tmp_path / "pieces", minutes=0.0)
    assert len(_losses(tmp_path / "pieces")) == 1
    spent = torch.load(tmp_path / "pieces" / "checkpoint.pt")["seconds"]
    assert spent > 0.0
    _train(tmp_path / "pieces", resume=True)
    assert torch.load(tmp_path / "pieces" / "checkpoint.pt")["seconds"] > spent
    assert _losses(tmp_path / "pieces") == pytest.approx(_losses(tmp_path / "through"))
    models = [load(tmp_path / name / "model").transformer.state_dict() for name in ("through", "pieces")]
    for name, weight in models[0].items():
        torch.testing.assert_close(weight, models[1][name])


def test_a_run_may_begin_with_the_weights_of_another(tmp_path: Path) -> None:
    _train(tmp_path / "first", steps=2)
    origin = tmp_path / "first" / "model"
    options = TrainingOptions(preset="smoke", out=tmp_path / "second", origin=origin, steps=2, minutes=0.0)
    begun = Run(recipe(options), options.out, FakeEvaluator(), origin).pipeline.transformer.state_dict()
    for name, weight in load(origin).transformer.state_dict().items():
        torch.testing.assert_close(weight, begun[name])
    train(options, FakeEvaluator())
    _train(tmp_path / "second", resume=True, steps=2)
    assert "| started from | `model` |" in (tmp_path / "second" / "model" / "README.md").read_text()


def test_a_run_does_not_begin_with_a_model_of_other_sizes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    save(
        build(ModelConfig(layers=1, heads=2, head_width=16, text_layers=1, text_width=32, text_heads=2)),
        tmp_path / "small",
    )
    options = TrainingOptions(preset="smoke", out=tmp_path / "run", origin=tmp_path / "small")
    with pytest.raises(ModelMismatch, match="other sizes than the recipe"):
        train(options, FakeEvaluator())


def test_a_router_s_parameters_are_trained_and_saved_with_the_model(tmp_path: Path) -> None:
    options = TrainingOptions(preset="smoke", out=tmp_path / "run", router="moga", minutes=0.0)
    begun = Run(recipe(options), options.out, FakeEvaluator()).pipeline.routers["moga"].state_dict()
    begun = {name: tensor.clone() for name, tensor in begun.items()}
    train(options, FakeEvaluator())
    train(replace(options, resume=True, minutes=None), FakeEvaluator())
    found = load(tmp_path / "run" / "model").routers
    assert list(found) == ["moga"]
    assert not any(torch.equal(tensor, begun[name]) for name, tensor in found["moga"].state_dict().items())
    assert len(_losses(tmp_path / "run")) == 12


def test_a_distilled_router_leaves_the_model_as_it_is(tmp_path: Path) -> None:
    _train(tmp_path / "first", steps=1)
    origin = tmp_path / "first" / "model"
    options = TrainingOptions(preset="smoke", out=tmp_path / "second", router="vorta", origin=origin, steps=3)
    begun = Run(recipe(options), options.out, FakeEvaluator(), origin).pipeline.routers["vorta"].state_dict()
    train(options, FakeEvaluator())
    before, after = load(origin), load(tmp_path / "second" / "model")
    for part in ("transformer", "smoother", "text_encoder"):
        for name, weight in getattr(before, part).state_dict().items():
            assert torch.equal(weight, getattr(after, part).state_dict()[name]), name
    found = after.routers["vorta"].state_dict()
    assert not any(torch.equal(tensor, begun[name]) for name, tensor in found.items())
    assert not before.routers


def test_a_run_is_not_resumed_by_another_recipe(tmp_path: Path) -> None:
    _train(tmp_path, steps=1)
    options = TrainingOptions(preset="smoke", out=tmp_path, resume=True)
    with pytest.raises(CheckpointError, match="another recipe; it differs in learning_rate"):
        Run(replace(recipe(options), learning_rate=1.0), tmp_path, FakeEvaluator()).go(resume=True)
    Run(replace(recipe(options), steps=2), tmp_path, FakeEvaluator()).go(resume=True)
    assert len(_losses(tmp_path)) == 2


def test_a_checkpoint_of_another_model_is_told(tmp_path: Path) -> None:
    _train(tmp_path, steps=1)
    state = torch.load(tmp_path / "checkpoint.pt")
    state["model"].popitem()
    torch.save(state, tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError, match="of another model"):
        _train(tmp_path, resume=True)


def test_a_full_disk_is_an_os_error_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    with _files_of_at_most(100_000), pytest.raises(OSError, match="File too large"):
        _train(tmp_path, steps=1)
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_full_once_the_checkpoint_is_there_is_an_os_error_too(tmp_path: Path) -> None:
    run = Run(recipe(TrainingOptions(preset="smoke", out=tmp_path)), tmp_path, FakeEvaluator())
    with _files_of_at_most(20_000), pytest.raises(OSError, match="File too large"):
        run._save_model()
    assert not list(tmp_path.iterdir())
