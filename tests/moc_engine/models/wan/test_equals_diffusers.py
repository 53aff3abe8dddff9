"""A shot alone is what diffusers' own pipeline makes of the same noise: latents and frames, each variant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanVideoToVideoPipeline,
)
from PIL import Image
from torch import Tensor

from moc_engine.clip import ClipWriter
from moc_engine.config import RoutingChoice, SamplerChoice
from moc_engine.contract import Expert, Guide, Lora, RenderRequest
from moc_engine.errors import EngineError
from moc_engine.models.backbone import Backbone
from moc_engine.models.loading import load_backbone
from moc_engine.models.progress_bars import no_progress_bars
from moc_engine.render.denoise import draw_noise
from moc_engine.render.pictures import read_clip
from moc_engine.render.prepare import prepare
from moc_engine.render.shot_denoising import shot_denoising
from moc_engine.stored_file import LocalFile
from tests.fakes.loras import comfyui_keys, diffusers_keys, factors, kohya_keys, save_lora
from tests.fakes.wan_folders import (
    wan22_i2v_folder,
    wan_a14b_folder,
    wan_euler_folder,
    wan_i2v_folder,
    wan_t2v_folder,
    wan_ti2v_folder,
)

Make = Callable[[Path], None]
Keys = Callable[[Mapping[str, tuple[Tensor, Tensor]]], dict[str, Tensor]]

SIZE = (64, 32)
STEPS = 5


@dataclass(frozen=True)
class Case:
    """A variant: how its folder is made, the pipeline, and settings given to both."""

    make: Make
    pipeline: Any = WanPipeline
    sampler: SamplerChoice = field(default_factory=SamplerChoice)
    call: dict[str, Any] = field(default_factory=dict)
    picture: bool = False
    scheduler: Any = None


FLOW: dict[str, Any] = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}

CASES = {
    "2.1": Case(wan_t2v_folder),
    "2.1 with Euler": Case(wan_euler_folder),
    "2.1 with Euler chosen": Case(
        wan_t2v_folder,
        sampler=SamplerChoice(scheduler="euler", shift=8.0),
        scheduler=lambda: FlowMatchEulerDiscreteScheduler(shift=8.0),
    ),
    "2.1 with DPM++ chosen": Case(
        wan_t2v_folder,
        sampler=SamplerChoice(scheduler="dpm++"),
        scheduler=lambda: DPMSolverMultistepScheduler(flow_shift=3.0, **FLOW),
    ),
    "2.1 unguided": Case(wan_t2v_folder, sampler=SamplerChoice(guidance=1.0), call={"guidance_scale": 1.0}),
    "5B": Case(wan_ti2v_folder),
    "5B from a picture": Case(wan_ti2v_folder, WanImageToVideoPipeline, picture=True),
    "A14B": Case(wan_a14b_folder, call={"guidance_scale": 4.0, "guidance_scale_2": 3.0}),
    "A14B, one guidance": Case(
        wan_a14b_folder, sampler=SamplerChoice(guidance=2.5), call={"guidance_scale": 2.5}
    ),
    "A14B, high noise alone": Case(
        lambda folder: wan_a14b_folder(folder, low=False, boundary=None), call={"guidance_scale": 5.0}
    ),
    "A14B, low noise alone": Case(
        lambda folder: wan_a14b_folder(folder, high=False, boundary=1.0),
        call={"guidance_scale": 4.0, "guidance_scale_2": 3.0},
    ),
    "2.1 picture to video": Case(wan_i2v_folder, WanImageToVideoPipeline, picture=True),
    "2.1 picture to video, with projection": Case(
        lambda folder: wan_i2v_folder(folder, projection=True), WanImageToVideoPipeline, picture=True
    ),
    "A14B picture to video": Case(
        wan22_i2v_folder, WanImageToVideoPipeline, call={"guidance_scale": 3.5}, picture=True
    ),
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Make], Path]:
    made: dict[Make, Path] = {}

    def folder(make: Make) -> Path:
        if make not in made:
            made[make] = tmp_path_factory.mktemp("models") / "wan"
            make(made[make])
        return made[make]

    return folder


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    file = tmp_path / "first.png"
    pixels = np.random.default_rng(0).integers(0, 255, (4, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((128, 64), Image.Resampling.BICUBIC).save(file)
    return file


def request_of(backbone: Backbone, output: Path, **changes: Any) -> RenderRequest:
    _, rate = frames_and_rate(backbone)
    request = RenderRequest(
        previews=0,
        shot=0,
        caption="a  fox &amp; runs",
        global_caption="",
        cast=(),
        seconds=9 / rate,
        fps=rate,
        size=SIZE,
        seed=7,
        output=output,
        routing=RoutingChoice(backend="grouped"),
        sampler=SamplerChoice(steps=STEPS),
        negative_prompt="blurred static",
    )
    return replace(request, **changes)


def frames_and_rate(backbone: Backbone) -> tuple[int, float]:
    family: Any = backbone.family
    count, rate = family.frames_needed((0, 3, 4, 8))
    return count, rate


def rendered(backbone: Backbone, request: RenderRequest, *, two_passes: bool = False) -> Tensor:
    """The latents (1, C, F, H, W) of a shot alone."""
    prepared = prepare(request, backbone)
    histories = dict.fromkeys(prepared.experts)
    *_, done = shot_denoising(prepared, backbone, histories.get, two_passes=two_passes).steps()
    return done.latents


def loaded(kind: Any, folder: Path, scheduler: Any = None) -> Any:
    with no_progress_bars():
        pipeline = kind.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    if scheduler is not None:
        pipeline.scheduler = scheduler()
    return pipeline


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=2e-5)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("two_passes", [False, True], ids=["batch", "two passes"])
@pytest.mark.parametrize("name", CASES)
def test_latents_and_frames_equal_those_of_the_pipeline(
    name: str, two_passes: bool, folders: Callable[[Make], Path], picture: Path, tmp_path: Path
) -> None:
    case = CASES[name]
    folder = folders(case.make)
    backbone = load_backbone(folder, "cpu")
    first = LocalFile(picture) if case.picture else None
    sampler = replace(case.sampler, steps=STEPS)
    request = request_of(backbone, tmp_path, first_frame=first, sampler=sampler)
    ours = rendered(backbone, request, two_passes=two_passes)

    pipeline = loaded(case.pipeline, folder, case.scheduler)
    made: list[Tensor] = []

    def keep(_: Any, step: int, timestep: Tensor, given: dict[str, Tensor]) -> dict[str, Tensor]:
        made.append(given["latents"])
        return {}

    (video,) = pipeline(
        **({"image": Image.open(picture)} if case.picture else {}),
        prompt=request.caption,
        negative_prompt=request.negative_prompt,
        width=SIZE[0],
        height=SIZE[1],
        num_frames=9,
        num_inference_steps=STEPS,
        latents=draw_noise(ours.shape, request.seed),
        callback_on_step_end=keep,
        return_dict=False,
        **{"guidance_scale": 5.0, **case.call},
    )
    theirs = made[-1]
    if case.picture and pipeline.config.expand_timesteps:  # it puts the picture in once more at the end
        assert_close(ours[:, :, 1:], theirs[:, :, 1:])
    else:
        assert_close(ours, theirs)
    frames = np.stack(
        list(backbone.family.frames(ours[0], seconds=request.seconds, fps=float(request.fps), size=SIZE))
    )
    assert frames.shape == video[0].shape == (9, SIZE[1], SIZE[0], 3)
    assert np.abs(frames - video[0] * 255).max() < 0.6  # rounding, and 1e-4 of the latents
    assert np.ptp(frames) > 20


@dataclass(frozen=True)
class LoraCase:
    """A model with LoRAs, each with the keys it has, its weight and the expert it is for."""

    make: Make
    loras: tuple[tuple[Keys, float, Expert], ...]


LORA_CASES = {
    "2.1, one of ComfyUI": LoraCase(wan_t2v_folder, ((comfyui_keys, 0.8, "both"),)),
    "2.1, two": LoraCase(
        wan_t2v_folder, ((diffusers_keys, 1.0, "both"), (partial(kohya_keys, alpha=2.0), -0.5, "both"))
    ),
    "5B": LoraCase(wan_ti2v_folder, ((diffusers_keys, 1.0, "both"),)),
    "A14B, each expert its own": LoraCase(
        wan_a14b_folder, ((diffusers_keys, 1.0, "high"), (comfyui_keys, 0.6, "low"))
    ),
}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Already found a `peft_config`:UserWarning")
@pytest.mark.parametrize("name", LORA_CASES)
def test_loras_are_those_of_the_pipeline(name: str, folders: Callable[[Make], Path], tmp_path: Path) -> None:
    case = LORA_CASES[name]
    folder = folders(case.make)
    backbone = load_backbone(folder, "cpu")
    loras = []
    for seed, (keys, weight, expert) in enumerate(case.loras):
        file = tmp_path / f"{seed}.safetensors"
        save_lora(file, keys(factors(backbone.transformer, seed=seed)))
        loras.append(Lora(source=str(file), weight=weight, expert=expert))
    request = request_of(backbone, tmp_path, loras=tuple(loras))
    plain = rendered(backbone, replace(request, loras=()))
    ours = rendered(backbone, request)

    pipeline = loaded(WanPipeline, folder)
    weights: dict[str, dict[str, float]] = {"transformer": {}, "transformer_2": {}}
    for seed, lora in enumerate(loras):
        second = lora.expert == "low"
        pipeline.load_lora_weights(lora.source, adapter_name=str(seed), load_into_transformer_2=second)
        weights["transformer_2" if second else "transformer"][str(seed)] = lora.weight
    for part, of_part in weights.items():
        if of_part:
            getattr(pipeline, part).set_adapters(list(of_part), list(of_part.values()))
    made: list[Tensor] = []

    def keep(_: Any, step: int, timestep: Tensor, given: dict[str, Tensor]) -> dict[str, Tensor]:
        made.append(given["latents"])
        return {}

    pipeline(
        prompt=request.caption,
        negative_prompt=request.negative_prompt,
        width=SIZE[0],
        height=SIZE[1],
        num_frames=9,
        num_inference_steps=STEPS,
        latents=draw_noise(ours.shape, request.seed),
        callback_on_step_end=keep,
        output_type="latent",
        guidance_scale=backbone.family.sampler.guidance,
        **({} if backbone.low_noise is None else {"guidance_scale_2": backbone.family.sampler.guidance_2}),
    )
    assert_close(ours, made[-1])
    assert not torch.allclose(ours, plain, atol=1e-2)


@pytest.mark.parametrize("make", [wan_t2v_folder, wan_euler_folder])
@pytest.mark.parametrize("strength", [0.3, 0.8])
def test_a_guide_is_what_the_video_to_video_pipeline_makes(
    make: Make, strength: float, folders: Callable[[Make], Path], tmp_path: Path
) -> None:
    folder = folders(make)
    backbone = load_backbone(folder, "cpu")
    clip = LocalFile(_clip(tmp_path / "guide.mp4"))
    request = request_of(backbone, tmp_path, guide=Guide(clip=clip, strength=strength))
    prepared = prepare(request, backbone)
    assert len(prepared.schedule) == int(STEPS * strength)
    ours = rendered(backbone, request)
    pipeline = loaded(WanVideoToVideoPipeline, folder)
    video = [Image.fromarray(frame) for frame in read_clip(clip, 9, 16.0, "clip")]
    (theirs,) = pipeline(
        video=video,
        prompt=request.caption,
        negative_prompt=request.negative_prompt,
        width=SIZE[0],
        height=SIZE[1],
        num_inference_steps=STEPS,
        strength=strength,
        generator=torch.Generator().manual_seed(request.seed),
        output_type="latent",
        return_dict=False,
    )
    assert_close(ours, theirs)


def _clip(path: Path) -> Path:
    with ClipWriter(path, SIZE, 16) as writer:
        for nth in range(9):
            pixels = np.random.default_rng(nth).integers(0, 255, (4, 8, 3), dtype=np.uint8)
            writer.write(np.asarray(Image.fromarray(pixels).resize(SIZE)))
    return path


@pytest.mark.parametrize("make", [wan_i2v_folder, wan22_i2v_folder])
def test_a_picture_model_needs_a_first_frame(
    make: Make, folders: Callable[[Make], Path], tmp_path: Path
) -> None:
    backbone = load_backbone(folders(make), "cpu")
    with pytest.raises(EngineError, match="the model wan starts every shot from a picture"):
        prepare(request_of(backbone, tmp_path), backbone)


def test_a_text_model_takes_no_first_frame(
    folders: Callable[[Make], Path], picture: Path, tmp_path: Path
) -> None:
    backbone = load_backbone(folders(wan_t2v_folder), "cpu")
    with pytest.raises(EngineError, match="the model wan takes no first frame"):
        prepare(request_of(backbone, tmp_path, first_frame=LocalFile(picture)), backbone)


def test_what_is_no_picture_is_told(folders: Callable[[Make], Path], tmp_path: Path) -> None:
    (tmp_path / "first.png").write_bytes(b"no picture")
    backbone = load_backbone(folders(wan_ti2v_folder), "cpu")
    for name in ("first.png", "none.png"):
        with pytest.raises(EngineError, match="the first frame cannot be read"):
            prepare(request_of(backbone, tmp_path, first_frame=LocalFile(tmp_path / name)), backbone)
