"""LoRAs in renders of a Wan pipeline with random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from moc_engine.contract import Lora, finish
from moc_engine.errors import EngineError
from moc_engine.models.loading import load_backbone
from moc_engine.render.prepare import prepare
from moc_engine.render.renderer import ShotRenderer
from moc_engine.trace.trace_file import read_trace
from tests.fakes.loras import diffusers_keys, factors, save_lora
from tests.fakes.models import save_tiny_video, tiny_backbone, tiny_transformer
from tests.fakes.short_shots import latents_of, short_shot, take_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_tiny_video(tmp_path / "video")
    return tmp_path / "video"


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    return save_lora(tmp_path / "look.safetensors", diffusers_keys(factors(tiny_transformer())))


def test_shots_of_one_renderer_have_loras_of_their_own(folder: Path, lora: Path, tmp_path: Path) -> None:
    renderer = ShotRenderer(folder, device="cpu")
    plain = finish(renderer, short_shot(tmp_path / "plain"))
    styled = finish(renderer, replace(short_shot(tmp_path / "styled"), loras=(Lora(source=str(lora)),)))
    again = finish(renderer, short_shot(tmp_path / "again"))

    assert torch.equal(latents_of(plain), latents_of(again))
    assert not torch.allclose(latents_of(plain), latents_of(styled))
    assert read_trace(plain.trace).routing["loras"] == []
    (told,) = read_trace(styled.trace).routing["loras"]
    assert (told["source"], told["weight"], told["expert"], told["left_out"]) == (lora.name, 1.0, "both", [])


def test_memories_belong_to_the_loras_that_read_them(folder: Path, lora: Path, tmp_path: Path) -> None:
    asked = short_shot(tmp_path / "first")
    first = finish(ShotRenderer(folder, device="cpu"), asked)
    backbone = load_backbone(folder, "cpu")
    second = replace(short_shot(tmp_path / "second", shot=1), context=(take_of(asked, first),))
    keys = [
        prepare(replace(second, loras=loras), backbone).context[0].memory
        for loras in (
            (),
            (Lora(source=str(lora)),),
            (Lora(source=str(lora), weight=0.5),),
            (Lora(source=str(lora)),),
        )
    ]

    assert len(set(keys)) == 3
    assert keys[1] == keys[3]


def test_a_model_without_loras_says_so(lora: Path, tmp_path: Path) -> None:
    asked = replace(short_shot(tmp_path), loras=(Lora(source=str(lora)),))
    with pytest.raises(EngineError, match="takes no LoRAs"):
        prepare(asked, tiny_backbone())
