"""The trained LoRA: what it is beside, and that its file gives the same model wherever it is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanPipeline
from safetensors import safe_open
from torch import Tensor

from moc_engine.contract import Lora
from moc_engine.models.finding import find_model
from moc_engine.models.lora import LoraAdapters
from moc_engine.models.progress_bars import no_progress_bars
from moc_engine.models.wan.lora_fit import WanLoras
from moc_engine.models.wan.lora_reading import read_lora
from moc_engine.training.story_rules import StoryRules
from moc_engine.training.tuning.denoiser import TuningDenoiser
from moc_engine.training.tuning.lora_factors import lora_weights, save_lora
from moc_engine.training.tuning.objective import flow_losses
from moc_engine.training.tuning.recipe import ATTENTION, TuningRecipe
from moc_engine.training.tuning.trainable import count_trainable, make_trainable
from tests.fakes.models import save_tiny_video, tiny_transformer
from tests.fakes.tuning import ROUTING, batch_of, drawn, story

RECIPE = TuningRecipe(rank=3, alpha=6.0)
"""Its scale is 2, which a reader that leaves the scale out would miss."""


@pytest.fixture(scope="module")
def tuned() -> Any:
    """A tiny transformer with a LoRA after a few steps."""
    transformer = tiny_transformer()
    make_trainable(transformer, RECIPE)
    batch, rules = batch_of(story((2, 2))), StoryRules(routing=ROUTING)
    denoiser, draw = TuningDenoiser(transformer), drawn(batch)
    optimizer = torch.optim.AdamW([p for p in transformer.parameters() if p.requires_grad], lr=0.05)
    for _ in range(3):
        optimizer.zero_grad()
        flow_losses(denoiser(batch, draw, rules), batch, draw).mean().backward()
        optimizer.step()
    return transformer.eval()


@torch.no_grad()
def _output(transformer: Any) -> Tensor:
    draws = torch.Generator().manual_seed(0)
    latents = torch.randn(1, 4, 2, 4, 6, generator=draws)
    states = torch.randn(1, 3, 16, generator=draws)
    out: Tensor = transformer(latents, torch.tensor([500.0]), states, return_dict=False)[0]
    return out


def test_a_new_lora_changes_nothing_and_trains_only_its_factors() -> None:
    transformer = tiny_transformer()
    layers = 2 * (2 * 4 + 2)
    trainable = make_trainable(transformer, RECIPE)
    torch.testing.assert_close(_output(transformer), _output(tiny_transformer()))
    weights = lora_weights(transformer)
    assert len(weights) == 2 * layers
    assert trainable.trained == sum(x.numel() for x in weights.values())
    assert trainable.frozen == sum(p.numel() for p in tiny_transformer().parameters())
    assert 0 < trainable.share < 1


def test_frozen_weights_get_no_gradients(tuned: Any) -> None:
    grads = {name: p.grad is not None for name, p in tuned.named_parameters()}
    assert grads == {name: ".lora_" in name for name in grads}
    assert any(grads.values())


def test_half_precision_keeps_the_factors_in_float32() -> None:
    transformer = tiny_transformer().to(torch.bfloat16)
    make_trainable(transformer, RECIPE)
    assert {p.dtype for p in transformer.parameters() if p.requires_grad} == {torch.float32}
    assert transformer.blocks[0].attn1.to_q.base_layer.weight.dtype == torch.bfloat16


def test_the_same_seed_gives_the_same_factors_and_leaves_other_draws_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    one, other = tiny_transformer(seed=0), tiny_transformer(seed=0)
    torch.manual_seed(5)
    make_trainable(one, RECIPE)
    make_trainable(other, RECIPE)
    assert torch.equal(torch.rand(2), expected)
    for name, factor in lora_weights(one).items():
        assert torch.equal(factor, lora_weights(other)[name])


def test_targets_that_are_no_layers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^targets: the model has no linear layer named to_z"):
        make_trainable(tiny_transformer(), TuningRecipe(targets=(*ATTENTION, "to_z")))


def test_the_engine_loads_the_file_as_it_is(tuned: Any, tmp_path: Path) -> None:
    save_tiny_video(tmp_path / "model")
    file = tmp_path / "look.safetensors"
    save_lora(tuned, file)
    WanLoras().check(find_model(tmp_path / "model"), file)
    loaded = tiny_transformer()
    (used,) = LoraAdapters({"high": loaded}, read_lora).use([Lora(source=str(file))])
    assert used.left_out == ()
    torch.testing.assert_close(_output(loaded), _output(tuned))
    assert not torch.allclose(_output(tuned), _output(tiny_transformer()), atol=1e-3)


def test_diffusers_loads_the_file_as_it_is(tuned: Any, tmp_path: Path) -> None:
    save_tiny_video(tmp_path / "model")
    save_lora(tuned, tmp_path / "look.safetensors")
    with no_progress_bars():
        pipeline = WanPipeline.from_pretrained(tmp_path / "model")
    pipeline.load_lora_weights(str(tmp_path), weight_name="look.safetensors")
    torch.testing.assert_close(_output(pipeline.transformer), _output(tuned))


def test_the_file_says_its_rank_and_scale_and_can_be_in_half_precision(tuned: Any, tmp_path: Path) -> None:
    file = tmp_path / "look.safetensors"
    averaged = {name: torch.zeros_like(x) for name, x in lora_weights(tuned).items()}
    save_lora(tuned, file, weights=averaged, dtype=torch.bfloat16)
    with safe_open(file, framework="pt") as stream:
        told = json.loads(stream.metadata()["lora_adapter_metadata"])
        names = set(stream.keys())
        assert {stream.get_tensor(name).dtype for name in names} == {torch.bfloat16}
        assert not any(stream.get_tensor(name).any() for name in names)
    assert names == set(averaged)
    assert "transformer.blocks.1.attn2.to_out.0.lora_A.weight" in names
    assert (told["transformer.r"], told["transformer.lora_alpha"]) == (3, 6.0)


def test_all_weights_are_trained_where_asked_for() -> None:
    transformer = tiny_transformer().to(torch.bfloat16)
    trainable = make_trainable(transformer, TuningRecipe(kind="full"))
    assert (trainable.frozen, trainable.share) == (0, 1.0)
    assert {p.dtype for p in transformer.parameters()} == {torch.float32}
    assert count_trainable(transformer) == trainable
