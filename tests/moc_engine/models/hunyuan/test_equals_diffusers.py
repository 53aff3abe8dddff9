"""A shot alone is what diffusers' own pipeline makes of the same noise: latents and frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import HunyuanVideoPipeline
from diffusers.pipelines.wan.pipeline_wan_video2video import retrieve_latents
from diffusers.video_processor import VideoProcessor
from PIL import Image
from torch import Tensor

from moc_engine.clip import ClipWriter
from moc_engine.config import RoutingChoice, SamplerChoice
from moc_engine.contract import Guide, RenderRequest
from moc_engine.models.backbone import Backbone
from moc_engine.models.loading import load_backbone
from moc_engine.models.progress_bars import no_progress_bars
from moc_engine.render.denoise import draw_noise
from moc_engine.render.pictures import read_clip
from moc_engine.render.prepare import prepare
from moc_engine.render.shot_denoising import shot_denoising
from moc_engine.stored_file import LocalFile
from tests.fakes.hunyuan_folder import hunyuan_folder

SIZE = (64, 32)
STEPS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "hunyuan"
    hunyuan_folder(made)
    return made


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> Any:
    with no_progress_bars():
        loaded = HunyuanVideoPipeline.from_pretrained(folder)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def request_of(output: Path, **changes: Any) -> RenderRequest:
    request = RenderRequest(
        previews=0,
        shot=0,
        caption="a fox runs",
        global_caption="",
        cast=(),
        seconds=9 / 24,
        fps=24,
        size=SIZE,
        seed=7,
        output=output,
        routing=RoutingChoice(backend="grouped"),
        sampler=SamplerChoice(steps=STEPS),
    )
    return replace(request, **changes)


def rendered(backbone: Backbone, request: RenderRequest) -> Tensor:
    """The latents (1, C, F, H, W) of a shot alone."""
    prepared = prepare(request, backbone)
    *_, done = shot_denoising(prepared, backbone, dict.fromkeys(prepared.experts).get).steps()
    return done.latents


@pytest.mark.parametrize(
    ("changes", "call"),
    [
        ({}, {}),
        ({"global_caption": "dawn"}, {"prompt": "dawn a fox runs"}),
        ({"caption": "", "global_caption": ""}, {"prompt": ""}),
        (
            {"negative_prompt": "blurred static", "sampler": SamplerChoice(steps=STEPS, guidance=2.5)},
            {"negative_prompt": "blurred static", "true_cfg_scale": 2.5},
        ),
    ],
    ids=["plain", "global caption", "no caption", "guided by a second pass"],
)
def test_latents_and_frames_equal_those_of_the_pipeline(
    changes: dict[str, Any],
    call: dict[str, Any],
    folder: Path,
    pipeline: Any,
    tmp_path: Path,
) -> None:
    backbone = load_backbone(folder, "cpu")
    request = request_of(tmp_path, **changes)
    ours = rendered(backbone, request)
    assert ours.shape == (1, 16, 3, 4, 8)
    given: dict[str, Any] = {
        "prompt": request.caption,
        "width": SIZE[0],
        "height": SIZE[1],
        "num_frames": 9,
        "num_inference_steps": STEPS,
        "latents": draw_noise(ours.shape, request.seed),
        "return_dict": False,
        **call,
    }
    (theirs,) = pipeline(**given, output_type="latent")
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=2e-5)
    (video,) = pipeline(**given, output_type="np")
    frames = np.stack(
        list(backbone.family.frames(ours[0], seconds=request.seconds, fps=float(request.fps), size=SIZE))
    )
    assert frames.shape == video[0].shape == (9, SIZE[1], SIZE[0], 3)
    assert np.abs(frames - video[0] * 255).max() < 0.6  # rounding, and 1e-4 of the latents
    assert np.ptp(frames) > 20


def test_other_captions_render_other_latents(folder: Path, tmp_path: Path) -> None:
    backbone = load_backbone(folder, "cpu")
    one, other = (
        rendered(backbone, request_of(tmp_path, caption=text)) for text in ("a fox", "dawn runs static")
    )
    assert not torch.allclose(one, other, atol=1e-3)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("strength", [0.4, 0.8])
def test_a_guide_is_denoised_from_its_strength_on(
    strength: float, folder: Path, pipeline: Any, tmp_path: Path
) -> None:
    """diffusers has no video-to-video for HunyuanVideo: its pipeline's parts, put together as for Wan."""
    backbone = load_backbone(folder, "cpu")
    clip = LocalFile(_clip(tmp_path / "guide.mp4"))
    sampler = SamplerChoice(steps=5)
    request = request_of(tmp_path, guide=Guide(clip=clip, strength=strength), sampler=sampler)
    ours = rendered(backbone, request)

    pictures = [Image.fromarray(frame) for frame in read_clip(clip, 9, 24.0, "clip")]
    video = VideoProcessor(vae_scale_factor=8).preprocess_video(pictures, height=SIZE[1], width=SIZE[0])
    scheduler = pipeline.scheduler
    scheduler.set_timesteps(sigmas=np.linspace(1.0, 0.0, 6)[:-1])
    timesteps = scheduler.timesteps[5 - int(5 * strength) :]
    scheduler.set_begin_index(5 - int(5 * strength))
    states, pooled, mask = pipeline.encode_prompt(request.caption)
    with torch.no_grad():
        clean = retrieve_latents(pipeline.vae.encode(video), sample_mode="argmax")
        clean = clean * pipeline.vae.config.scaling_factor
        latents = scheduler.scale_noise(clean, timesteps[:1], draw_noise(ours.shape, request.seed))
        for timestep in timesteps:
            flow = pipeline.transformer(
                latents,
                timestep[None],
                states,
                mask,
                pooled,
                guidance=torch.tensor([6000.0]),
                return_dict=False,
            )[0]
            latents = scheduler.step(flow, timestep, latents, return_dict=False)[0]
    torch.testing.assert_close(ours, latents, atol=2e-5, rtol=2e-5)


def _clip(path: Path) -> Path:
    with ClipWriter(path, SIZE, 24) as writer:
        for nth in range(9):
            pixels = np.random.default_rng(nth).integers(0, 255, (4, 8, 3), dtype=np.uint8)
            writer.write(np.asarray(Image.fromarray(pixels).resize(SIZE)))
    return path
