"""LoRAs in renders of a Wan pipeline with random weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from moc_engine.config import SamplerChoice
from moc_engine.contract import ContextTake, Lora, RenderRequest, RenderResult, finish
from moc_engine.errors import EngineError
from moc_engine.models.loading import load_backbone
from moc_engine.render.prepare import prepare
from moc_engine.render.renderer import ShotRenderer
from moc_engine.stored_file import LocalFile
from moc_engine.trace.trace_file import read_trace
from tests.fakes.loras import diffusers_keys, factors, save_lora
from tests.fakes.models import save_tiny_video, tiny_backbone, tiny_transformer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_tiny_video(tmp_path / "video")
    return tmp_path / "video"


@pytest.fixture
def lora(tmp_path: Path) -> Path:
    return save_lora(tmp_path / "look.safetensors", diffusers_keys(factors(tiny_transformer())))


def request(output: Path, *, shot: int = 0) -> RenderRequest:
    return RenderRequest(
        shot=shot,
        caption="a fox",
        global_caption="",
        cast=(),
        seconds=0.3,
        fps=10,
        size=(32, 32),
        seed=1,
        output=output,
        sampler=SamplerChoice(steps=2, guidance=3.0),
    )


def latents(result: RenderResult) -> torch.Tensor:
    return load_file(result.latents)["latents"]


def take(result: RenderResult) -> ContextTake:
    return ContextTake(
        id="a",
        shot=0,
        latents=LocalFile(result.latents),
        caption="a fox",
        global_caption="",
        cast=(),
        seconds=0.3,
    )


def test_shots_of_one_renderer_have_loras_of_their_own(folder: Path, lora: Path, tmp_path: Path) -> None:
    renderer = ShotRenderer(folder, device="cpu")
    plain = finish(renderer, request(tmp_path / "plain"))
    styled = finish(renderer, replace(request(tmp_path / "styled"), loras=(Lora(source=str(lora)),)))
    again = finish(renderer, request(tmp_path / "again"))

    assert torch.equal(latents(plain), latents(again))
    assert not torch.allclose(latents(plain), latents(styled))
    assert read_trace(plain.trace).routing["loras"] == []
    (told,) = read_trace(styled.trace).routing["loras"]
    assert (told["source"], told["weight"], told["expert"], told["left_out"]) == (lora.name, 1.0, "both", [])


def test_memories_belong_to_the_loras_that_read_them(folder: Path, lora: Path, tmp_path: Path) -> None:
    first = finish(ShotRenderer(folder, device="cpu"), request(tmp_path / "first"))
    backbone = load_backbone(folder, "cpu")
    second = replace(request(tmp_path / "second", shot=1), context=(take(first),))
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
    asked = replace(request(tmp_path), loras=(Lora(source=str(lora)),))
    with pytest.raises(EngineError, match="takes no LoRAs"):
        prepare(asked, tiny_backbone())
