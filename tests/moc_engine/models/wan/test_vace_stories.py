"""Shots of VACE models through the renderer: memory, LoRAs, profiles, experts, guides, cancelling."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import WanVACEPipeline
from PIL import Image
from torch import Tensor

from moc_engine.clip import ClipWriter
from moc_engine.config import RoutingChoice, SamplerChoice
from moc_engine.contract import (
    ContextTake,
    Control,
    Guide,
    Lora,
    RenderRequest,
    RenderResult,
    StepEvent,
    finish,
)
from moc_engine.errors import EngineError, ModelMismatch, RenderCancelled
from moc_engine.models.base import ShotPictures, TakesPictures
from moc_engine.models.compiled_blocks import CompiledBlocks
from moc_engine.models.loading import load_backbone
from moc_engine.models.progress_bars import no_progress_bars
from moc_engine.render.prepare import prepare
from moc_engine.render.renderer import ShotRenderer
from moc_engine.render.shot_denoising import shot_denoising
from moc_engine.stored_file import LocalFile
from moc_engine.trace.trace_file import read_trace
from tests.fakes.loras import comfyui_keys, diffusers_keys, factors, save_lora
from tests.fakes.short_shots import latents_of
from tests.fakes.wan_folders import wan_vace_a14b_folder, wan_vace_folder

SIZE, FRAMES, STEPS = (64, 32), 5, 2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "vace"
    wan_vace_folder(made)
    return made


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A request's pictures: a clip to follow and two reference pictures."""
    made = tmp_path_factory.mktemp("pictures")
    files = [LocalFile(made / f"{nth}.png") for nth in range(2)]
    for nth, file in enumerate(files):
        noise(nth).save(file.path)
    with ClipWriter(made / "clip.mp4", SIZE, 16) as writer:
        for nth in range(FRAMES):
            writer.write(np.asarray(noise(10 + nth).resize(SIZE)))
    return {"control": Control(clip=LocalFile(made / "clip.mp4")), "references": tuple(files)}


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (48, 40, 3), dtype=np.uint8))


def request(output: Path, **changes: Any) -> RenderRequest:
    plain = RenderRequest(
        previews=0,
        shot=0,
        caption="a fox runs",
        global_caption="",
        cast=("fox",),
        seconds=FRAMES / 16,
        fps=16,
        size=SIZE,
        seed=7,
        output=output,
        routing=RoutingChoice(backend="grouped"),
        sampler=SamplerChoice(steps=STEPS),
        negative_prompt="blurred",
    )
    return replace(plain, **changes)


def take_of(result: RenderResult) -> ContextTake:
    return ContextTake(
        id="fox",
        shot=0,
        latents=LocalFile(result.latents),
        caption="a fox runs",
        global_caption="",
        cast=("fox",),
        seconds=FRAMES / 16,
    )


def test_a_trace_shows_the_frames_of_the_shot_alone(
    folder: Path, pictures: dict[str, Any], tmp_path: Path
) -> None:
    renderer = ShotRenderer(folder, device="cpu")
    first = finish(renderer, request(tmp_path / "first", **pictures))
    second = finish(renderer, request(tmp_path / "second", shot=1, context=(take_of(first),), **pictures))
    trace = read_trace(second.trace)
    assert latents_of(second).shape == (16, 2, 4, 8)
    assert [chunk.frames for chunk in trace.query] == [(0, 1), (1, 2)]
    assert [chunk.frames for chunk in trace.context] == [(0, 2), (0, 1), (1, 2)]
    assert len(trace.moments) == 2
    assert trace.portraits is not None
    assert trace.portraits.names == ("fox",)
    assert {link.source for link in trace.links()} == {0}
    assert trace.routing["reference_pictures"] == 2


def test_a_memory_is_that_of_the_take_whatever_pictures_are_used(
    folder: Path, pictures: dict[str, Any], tmp_path: Path
) -> None:
    first = finish(ShotRenderer(folder, device="cpu"), request(tmp_path / "first", **pictures))
    backbone = load_backbone(folder, "cpu")
    second = request(tmp_path / "second", shot=1, context=(take_of(first),))
    keys = {prepare(replace(second, **given), backbone).context[0].memory for given in ({}, pictures)}
    assert len(keys) == 1
    family = backbone.family
    assert isinstance(family, TakesPictures)
    own = family.own_condition(latents_of(first))
    plain = family.condition(ShotPictures(), (16, 2, 4, 8))
    assert own is not None
    assert plain is not None
    assert own.references == 0
    assert own.control_BCFHW is not None
    assert torch.equal(own.control_BCFHW, plain.control_BCFHW)  # type: ignore[arg-type]
    assert own.control_BCFHW.shape == (1, 96, 2, 4, 8)
    assert (own.control_BCFHW[:, 32:] == 1.0).all()


def test_the_grey_video_is_encoded_once_for_each_shape(folder: Path) -> None:
    family: Any = load_backbone(folder, "cpu").family
    vae, encoded = family._autoencoder.vae, []
    vae.encoder.register_forward_hook(lambda *_: encoded.append(1))
    for frames in (2, 2, 1, 2):
        family.own_condition(torch.zeros(16, frames, 4, 8))
    assert len(encoded) == 2 + 1  # pieces of a video: its first frame, and each four after it


def test_a_guide_at_full_strength_changes_nothing(
    folder: Path, pictures: dict[str, Any], tmp_path: Path
) -> None:
    renderer = ShotRenderer(folder, device="cpu")
    clip = pictures["control"].clip
    made = [
        latents_of(finish(renderer, request(tmp_path / str(nth), guide=guide, **pictures)))
        for nth, guide in enumerate((None, Guide(clip=clip, strength=1.0), Guide(clip=clip, strength=0.5)))
    ]
    torch.testing.assert_close(made[1], made[0], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(made[2], made[0], atol=1e-2)


def test_two_experts_have_the_same_pictures_and_memories_of_their_own(
    pictures: dict[str, Any], tmp_path: Path
) -> None:
    wan_vace_a14b_folder(tmp_path / "model")
    renderer = ShotRenderer(tmp_path / "model", device="cpu")
    sampler = SamplerChoice(steps=4)
    first = finish(renderer, request(tmp_path / "first", sampler=sampler, **pictures))
    asked = request(tmp_path / "second", shot=1, context=(take_of(first),), sampler=sampler, **pictures)
    trace = read_trace(finish(renderer, asked).trace)
    assert trace.routing["experts"] == ["high", "high", "low", "low"]


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_shots_render_the_same_under_profiles(folder: Path, pictures: dict[str, Any], tmp_path: Path) -> None:
    made: dict[str, Tensor] = {}
    for profile in ("shared", "8gb", "24gb", "12gb+int8"):
        named: dict[str, Any] = {} if profile == "shared" else {"profile": profile}
        renderer = ShotRenderer(folder, device="cpu", **named)
        first = finish(renderer, request(tmp_path / profile / "first", **pictures))
        asked = request(tmp_path / profile / "second", shot=1, context=(take_of(first),), **pictures)
        made[profile] = latents_of(finish(renderer, asked))
    plain = made.pop("shared")
    for profile, other in made.items():
        assert (other - plain).norm() / plain.norm() < 0.1, profile


def test_compiled_blocks_compute_the_same(folder: Path, pictures: dict[str, Any], tmp_path: Path) -> None:
    backbone = load_backbone(folder, "cpu")
    compiled = replace(backbone, compiled=CompiledBlocks(backbone.adapter.blocks, "eager"))
    asked = request(tmp_path, sampler=SamplerChoice(steps=1), **pictures)
    found = []
    for model in (backbone, compiled):
        denoising = shot_denoising(prepare(asked, model), model, lambda expert: None)
        found += [done.latents for done in denoising.steps()]
    torch._dynamo.reset()
    torch.testing.assert_close(found[1], found[0], atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning")
def test_loras_are_those_of_the_pipeline(folder: Path, tmp_path: Path) -> None:
    """One for the blocks, as those made for the text-to-video model are, and one for VACE's layers too."""
    backbone = load_backbone(folder, "cpu")
    every = factors(backbone.transformer)
    blocks = {name: parts for name, parts in every.items() if name.startswith("blocks.")}
    assert len(blocks) < len(every)
    files = [
        save_lora(tmp_path / "style.safetensors", comfyui_keys(blocks)),
        save_lora(tmp_path / "control.safetensors", diffusers_keys(every)),
    ]
    weights = (0.8, -0.5)
    loras = tuple(Lora(source=str(file), weight=weight) for file, weight in zip(files, weights, strict=True))
    plain, ours = (
        next(reversed([*denoised(backbone, request(tmp_path, loras=used))])) for used in ((), loras)
    )
    with no_progress_bars():
        pipeline: Any = WanVACEPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    for nth, file in enumerate(files):
        pipeline.load_lora_weights(str(file), adapter_name=str(nth))
    pipeline.transformer.set_adapters(["0", "1"], list(weights))
    (theirs,) = pipeline(
        prompt="a fox runs",
        negative_prompt="blurred",
        width=SIZE[0],
        height=SIZE[1],
        num_frames=FRAMES,
        num_inference_steps=STEPS,
        guidance_scale=5.0,
        generator=torch.Generator().manual_seed(7),
        output_type="latent",
        return_dict=False,
    )
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=2e-5)
    assert not torch.allclose(ours, plain, atol=1e-2)


def denoised(backbone: Any, asked: RenderRequest) -> Iterator[Tensor]:
    """The latents (1, C, F, H, W) after each step."""
    for done in shot_denoising(prepare(asked, backbone), backbone, lambda expert: None).steps():
        yield done.latents


def test_encoding_pictures_and_clips_can_be_cancelled(
    folder: Path, pictures: dict[str, Any], tmp_path: Path
) -> None:
    backbone = load_backbone(folder, "cpu")
    looks: list[int] = []

    def is_set() -> bool:
        looks.append(len(looks))
        return len(looks) == 6

    cancel = SimpleNamespace(is_set=is_set)
    prepared = prepare(request(tmp_path, **pictures), backbone)
    with pytest.raises(RenderCancelled):
        shot_denoising(prepared, backbone, lambda expert: None, cancel=cancel)
    assert len(looks) == 6
    after, fresh = (denoised(model, prepared.request) for model in (backbone, load_backbone(folder, "cpu")))
    assert torch.equal(next(after), next(fresh))  # nothing is left of what was begun


def test_a_render_is_cancelled_within_a_step(folder: Path, pictures: dict[str, Any], tmp_path: Path) -> None:
    cancel = Event()
    asked = request(tmp_path / "shot", sampler=SamplerChoice(steps=20), **pictures)
    done: list[int] = []
    with pytest.raises(RenderCancelled):
        for event in ShotRenderer(folder, device="cpu").render(asked, cancel):
            if isinstance(event, StepEvent) and event.stage == "denoise":
                done.append(event.step)
                cancel.set()
    assert done == [1]
    assert not (tmp_path / "shot").exists() or not [*(tmp_path / "shot").iterdir()]


def test_step_caches_are_refused_for_hints_would_count_twice(folder: Path, tmp_path: Path) -> None:
    backbone = load_backbone(folder, "cpu")
    with pytest.raises(EngineError, match="the model vace has no step cache"):
        prepare(request(tmp_path, step_cache="first-block"), backbone)


@pytest.mark.parametrize("change", [{"vace_in_channels": 128}, {"patch_size": [2, 2, 2]}])
def test_a_control_of_another_autoencoder_is_refused(
    change: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    wan_vace_folder(tmp_path / "model")
    file = tmp_path / "model" / "transformer" / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(ModelMismatch, match="where 96 and 1 go with its autoencoder"):
        load_backbone(tmp_path / "model", "cpu")


@pytest.mark.parametrize("size", [(3, 900), (900, 3), (1, 1)])
def test_a_reference_picture_of_any_shape_is_placed(
    size: tuple[int, int], folder: Path, tmp_path: Path
) -> None:
    Image.new("RGB", size).save(tmp_path / "thin.png")
    asked = request(tmp_path, references=(LocalFile(tmp_path / "thin.png"),))
    *_, last = denoised(load_backbone(folder, "cpu"), asked)
    assert last.isfinite().all()
