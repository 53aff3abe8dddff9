"""Models that can be tuned and that cannot, and the folder that a full training leaves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from moc_engine.errors import ModelMismatch
from moc_engine.models.finding import find_model
from moc_engine.models.loading import load_backbone
from moc_engine.training.story_rules import StoryRules
from moc_engine.training.tuning.denoiser import TuningDenoiser
from moc_engine.training.tuning.recipe import Expert, TuningRecipe
from moc_engine.training.tuning.tuned_model import load_for_tuning, save_model
from tests.fakes.hunyuan_folder import hunyuan_folder
from tests.fakes.tuning import batch_of, drawn, story
from tests.fakes.wan_folders import (
    fastwan_folder,
    wan22_i2v_folder,
    wan_a14b_folder,
    wan_i2v_folder,
    wan_t2v_folder,
    wan_ti2v_folder,
    wan_vace_folder,
)

LORA = TuningRecipe(rank=2)
FULL = TuningRecipe(kind="full", precision="no")
EXPERTS: tuple[Expert, ...] = ("high", "low")


@pytest.mark.parametrize(
    ("save", "shift", "channels"), [(wan_t2v_folder, 3.0, 16), (wan_ti2v_folder, 5.0, 48)]
)
def test_a_models_own_settings_are_trained_with(
    save: Callable[[Path], None], shift: float, channels: int, tmp_path: Path
) -> None:
    save(tmp_path)
    tuned = load_for_tuning(find_model(tmp_path), LORA)
    assert (tuned.part, tuned.caption_states) == ("transformer", 512)
    assert (tuned.levels.shift, tuned.levels.low, tuned.levels.high) == (shift, 0.0, 1.0)
    assert tuned.routing.chunking == "frame"
    assert tuned.transformer.blocks[0].attn1.to_q.base_layer.weight.dtype == torch.bfloat16
    batch = batch_of(story((1, 1), channels=channels))
    draw = drawn(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = TuningDenoiser(tuned.transformer)(batch, draw, StoryRules(routing=None))
    assert out.shape == draw.noise.shape
    assert load_for_tuning(find_model(tmp_path), replace(LORA, shift=7.0)).levels.shift == 7.0


def test_one_expert_is_trained_at_its_own_noise_levels(tmp_path: Path) -> None:
    wan_a14b_folder(tmp_path)
    model = find_model(tmp_path)
    high, low = (load_for_tuning(model, replace(FULL, expert=name)) for name in EXPERTS)
    assert (high.part, high.levels.low, high.levels.high) == ("transformer", 0.875, 1.0)
    assert (low.part, low.levels.low, low.levels.high) == ("transformer_2", 0.0, 0.875)
    assert not torch.equal(high.transformer.proj_out.weight, low.transformer.proj_out.weight)
    with pytest.raises(ValueError, match=r"^expert: the model has two"):
        load_for_tuning(model, FULL)


def test_an_expert_of_a_model_of_one_transformer_is_refused(tmp_path: Path) -> None:
    wan_t2v_folder(tmp_path)
    with pytest.raises(ValueError, match=r"^expert: the model has one transformer"):
        load_for_tuning(find_model(tmp_path), replace(LORA, expert="low"))


@pytest.mark.parametrize(
    ("save", "recipe", "why"),
    [
        (hunyuan_folder, LORA, "captions stand inside the sequence"),
        (wan_vace_folder, LORA, "controlled by clips"),
        (fastwan_folder, LORA, "distilled"),
        (wan_i2v_folder, LORA, "from a picture"),
        (wan22_i2v_folder, replace(LORA, expert="low"), "from a picture"),
    ],
)
def test_what_cannot_be_tuned_is_refused_in_words(
    save: Callable[[Path], None], recipe: TuningRecipe, why: str, tmp_path: Path
) -> None:
    save(tmp_path)
    with pytest.raises(ModelMismatch, match=f"cannot be tuned: .*{why}"):
        load_for_tuning(find_model(tmp_path), recipe)


@pytest.mark.parametrize("expert", EXPERTS)
def test_a_fully_trained_model_is_saved_as_one_that_loads(expert: Expert, tmp_path: Path) -> None:
    wan_a14b_folder(tmp_path / "model")
    tuned = load_for_tuning(find_model(tmp_path / "model"), replace(FULL, expert=expert))
    with torch.no_grad():
        tuned.transformer.proj_out.weight += 1.0
    save_model(tuned, tmp_path / "tuned")
    backbone = load_backbone(tmp_path / "tuned", "cpu")
    before = load_backbone(tmp_path / "model", "cpu")
    found = {one.expert: one.transformer for one in backbone.experts}
    for one in before.experts:
        own, other = found[one.expert].state_dict(), one.transformer.state_dict()
        expected = dict(tuned.transformer.state_dict()) if one.expert == expert else other
        assert all(torch.equal(own[name], weight) for name, weight in expected.items())


def test_weights_are_saved_in_half_precision_but_for_those_kept_in_full(tmp_path: Path) -> None:
    wan_t2v_folder(tmp_path / "model")
    tuned = load_for_tuning(find_model(tmp_path / "model"), FULL)
    averaged = {name: torch.zeros_like(x) for name, x in tuned.transformer.state_dict().items()}
    save_model(tuned, tmp_path / "tuned", weights=averaged, dtype=torch.bfloat16)
    weights = load_for_tuning(find_model(tmp_path / "tuned"), LORA).transformer
    assert weights.proj_out.weight.dtype == torch.bfloat16
    assert weights.scale_shift_table.dtype == torch.float32
    assert not any(p.any() for name, p in weights.named_parameters() if ".lora_" not in name)
