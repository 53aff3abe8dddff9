import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.tracking import GeneralTracker

from moc_engine.errors import CheckpointError, FolderInUse, FootageError, OutOfMemory
from moc_engine.models.finding import find_model
from moc_engine.models.loading import load_backbone
from moc_engine.sources.parts import PipelineParts
from moc_engine.training.data.footage.dataset import CachedFootage
from moc_engine.training.evaluator import Panels
from moc_engine.training.tuning import start as starting
from moc_engine.training.tuning.plan import TuningPlan, alone_in
from moc_engine.training.tuning.start import start
from moc_engine.training.tuning.subject import TuningSubject
from tests.fakes.tuning_runs import base_folder, cache_folder, run_plan


class Kept(GeneralTracker):  # type: ignore[misc]
    """A tracker that keeps what it is told."""

    name = "kept"
    requires_logging_directory = False

    def __init__(self) -> None:
        super().__init__()
        self.recipe: dict[str, Any] = {}
        self.told: list[tuple[int | None, Mapping[str, float]]] = []

    @property
    def tracker(self) -> None:
        return None

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.recipe = values

    def log(self, values: Mapping[str, float], step: int | None, **kwargs: Any) -> None:
        self.told.append((step, values))


class Constant:
    """Gives every model the same score."""

    @property
    def panels(self) -> Panels:
        return {"Looks": ("recall",)}

    def evaluate(self, subject: TuningSubject, step: int) -> dict[str, float]:
        return {"recall": 0.25 + step / 100}


def _history(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "history.json").read_text())
    return found


def test_a_run_leaves_a_lora_a_card_a_curve_and_sample_films(tmp_path: Path) -> None:
    tracker, out = Kept(), tmp_path / "kites"
    plan = run_plan(tmp_path, settings={"sample_steps": 4, "sampler_steps": 1}, ema=0.0)
    start(plan, out, evaluators=[Constant()], tracker=tracker)
    files = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    films = {f"samples/step-000004/{name}" for name in ("shot-1.mp4", "shot-2.mp4", "shot-3.mp4")}
    sheet = {"samples/step-000004/contact-sheet.jpg"}
    run = {"checkpoint.pt", "curve.png", "history.json", "lora/README.md", "lora/kites.safetensors"}
    assert files == run | films | sheet

    history = _history(out)
    assert [step for step, _ in history["loss"]] == [0, 1, 2, 3]
    assert history["recall"]["recall"] == [[2, 0.27], [4, 0.29]]
    names = ("loss with memory", "loss without memory", "gain of memory")
    with_memory, without, gain = (history["recall"][name][-1][1] for name in names)
    assert with_memory != without
    assert gain == pytest.approx(1 - with_memory / without)

    assert tracker.recipe["rank"] == 2
    told = [values["loss"] for _, values in tracker.told if "loss" in values]
    assert told == [loss for _, loss in history["loss"]]
    card = (out / "lora" / "README.md").read_text()
    assert "| steps | 4 of 4 |" in card
    assert f"| cache | `{TuningSubject(plan, *_parts(plan)).stories.digest}` |" in card


def _parts(plan: TuningPlan) -> tuple[PipelineParts, CachedFootage]:
    return find_model(plan.model), CachedFootage(plan.data)


def test_a_run_in_pieces_is_the_run_in_one(tmp_path: Path) -> None:
    plan = run_plan(tmp_path, kind="full", steps=3, learning_rate=1e-3)
    start(plan, tmp_path / "through")
    piece = replace(plan, settings=replace(plan.settings, minutes=0.0))
    start(piece, tmp_path / "pieces")
    start(piece, tmp_path / "pieces", resume=True)
    ended = _history(tmp_path / "pieces")
    assert (len(ended["loss"]), ended["recall"]) == (2, {})  # ended where a measurement is due
    start(plan, tmp_path / "pieces", resume=True)
    assert [step for step, _ in _history(tmp_path / "pieces")["recall"]["gain of memory"]] == [2, 3]
    assert _history(tmp_path / "pieces") == _history(tmp_path / "through")
    models = [load_backbone(tmp_path / name / "model", "cpu") for name in ("through", "pieces")]
    first, second = (model.transformer.state_dict() for model in models)
    base = load_backbone(tmp_path / "base", "cpu").transformer.state_dict()
    assert all(torch.equal(weight, second[name]) for name, weight in first.items())
    assert any(not torch.equal(weight, base[name]) for name, weight in first.items())


def test_a_run_is_resumed_with_its_own_recipe_and_footage_alone(tmp_path: Path) -> None:
    plan = run_plan(tmp_path, steps=2)
    start(replace(plan, settings=replace(plan.settings, minutes=0.0)), tmp_path / "run")
    other = replace(plan, recipe=replace(plan.recipe, learning_rate=1.0))
    with pytest.raises(CheckpointError, match="another recipe; it differs in learning_rate"):
        start(other, tmp_path / "run", resume=True)
    other = replace(plan, data=cache_folder(tmp_path / "other", tmp_path / "base", stories=4))
    with pytest.raises(CheckpointError, match="another recipe; it differs in data"):
        start(other, tmp_path / "run", resume=True)


def test_a_run_in_a_folder_that_another_process_trains_into_is_refused(tmp_path: Path) -> None:
    plan, out = run_plan(tmp_path, steps=1), tmp_path / "run"
    with alone_in(out), pytest.raises(FolderInUse, match=f"training into {out}; wait for its end"):
        start(plan, out)
    assert not out.exists()


def test_a_cache_of_another_model_is_told(tmp_path: Path) -> None:
    base_folder(tmp_path / "wide", text_dim=24)
    plan = replace(run_plan(tmp_path), model=str(tmp_path / "wide"))
    with pytest.raises(FootageError, match="holds latents of 16 channels and captions 16 wide, made by tiny"):
        TuningSubject(
            replace(plan, model=str(tmp_path / "wide")), *_parts(replace(plan, model=str(tmp_path / "wide")))
        )


def test_what_cannot_fit_is_refused_before_it_begins_unless_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = run_plan(tmp_path, steps=1)
    start = partial(starting.start, free=lambda device: 1000.0)
    with pytest.raises(OutOfMemory, match=r"the run needs [\d.]+ MiB and 0.000954 MiB are free: fewer"):
        start(plan, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    start(plan, tmp_path / "run", dry_run=True)
    assert not (tmp_path / "run").exists()
    assert capsys.readouterr().out.count("predicted: ") == 2
    start(plan, tmp_path / "run", force=True)
    assert (tmp_path / "run" / "checkpoint.pt").exists()
