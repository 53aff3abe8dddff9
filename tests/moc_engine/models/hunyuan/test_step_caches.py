"""Step caches of a HunyuanVideo pipeline with random weights: as diffusers skips blocks, and told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from diffusers import FirstBlockCacheConfig, HunyuanVideoPipeline, MagCacheConfig, TaylorSeerCacheConfig
from safetensors.torch import load_file, save_file

from moc_engine.config import SamplerChoice
from moc_engine.contract import RenderRequest, RenderResult, StepCache, finish
from moc_engine.models.loading import load_backbone
from moc_engine.models.progress_bars import no_progress_bars
from moc_engine.render.denoise import draw_noise
from moc_engine.render.prepare import prepare
from moc_engine.render.renderer import ShotRenderer
from moc_engine.render.step_caching import measured_ratios
from moc_engine.trace.trace_file import read_trace
from tests.fakes.hunyuan_folder import hunyuan_folder
from tests.fakes.short_shots import take_of

STEPS = 24
SIZE = (64, 32)

METHODS: tuple[StepCache, ...] = get_args(StepCache)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose first block, random as it is, changes little from step to step."""
    made = tmp_path_factory.mktemp("models") / "hunyuan"
    hunyuan_folder(made)
    file = made / "transformer" / "diffusion_pytorch_model.safetensors"
    weights = load_file(file)
    for stream in ("norm1", "norm1_context"):
        weights[f"transformer_blocks.0.{stream}.linear.weight"] *= 0.05
    save_file(weights, file, {"format": "pt"})
    return made


def request(output: Path, cache: StepCache | None = None, *, shot: int = 0) -> RenderRequest:
    return RenderRequest(
        previews=0,
        shot=shot,
        caption="a fox runs",
        global_caption="",
        cast=(),
        seconds=5 / 24,
        fps=24,
        size=SIZE,
        seed=3,
        output=output,
        sampler=SamplerChoice(steps=STEPS),
        step_cache=cache,
    )


def latents(result: RenderResult) -> torch.Tensor:
    return load_file(result.latents)["latents"]


def config(method: StepCache, ratios: list[float]) -> Any:
    return {
        "first-block": FirstBlockCacheConfig(threshold=0.05),
        "taylor": TaylorSeerCacheConfig(
            cache_interval=5, disable_cache_before_step=3, max_order=1, use_lite_mode=True
        ),
        "mag": MagCacheConfig(threshold=0.06, max_skip_steps=3, num_inference_steps=STEPS, mag_ratios=ratios),
    }[method]


@pytest.mark.parametrize("method", METHODS)
def test_a_shot_alone_is_that_of_the_pipeline_with_the_cache(
    method: StepCache, folder: Path, tmp_path: Path
) -> None:
    backbone = load_backbone(folder, "cpu")
    (ratios,) = measured_ratios(prepare(request(tmp_path, "mag"), backbone), backbone).values()
    assert len(ratios) == STEPS
    assert len(set(ratios)) > 2
    ours = latents(finish(ShotRenderer(folder, device="cpu"), request(tmp_path / "ours", method)))

    with no_progress_bars():
        pipeline = HunyuanVideoPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.transformer.enable_cache(config(method, ratios))
    (theirs,) = pipeline(
        prompt="a fox runs",
        width=SIZE[0],
        height=SIZE[1],
        num_frames=5,
        num_inference_steps=STEPS,
        latents=draw_noise((1, *ours.shape), 3),
        output_type="latent",
        return_dict=False,
    )
    torch.testing.assert_close(ours, theirs[0], atol=1e-3, rtol=1e-3)  # factors of Taylor are bfloat16


@pytest.mark.parametrize("method", METHODS)
def test_steps_that_were_skipped_are_told_and_leave_no_hole(
    method: StepCache, folder: Path, tmp_path: Path
) -> None:
    renderer = ShotRenderer(folder, device="cpu")
    asked = request(tmp_path / "first")
    take = take_of(asked, finish(renderer, asked))
    plain = finish(renderer, replace(request(tmp_path / "plain", shot=1), context=(take,)))
    cached = finish(renderer, replace(request(tmp_path / "cached", method, shot=1), context=(take,)))
    after = finish(renderer, replace(request(tmp_path / "after", shot=1), context=(take,)))

    trace = read_trace(cached.trace)
    skipped = dict(trace.routing["skipped"])
    assert trace.routing["step_cache"] == method
    assert skipped
    assert 0 not in skipped
    layers = (1, 2, 3) if method == "first-block" else (0, 1, 2, 3)
    assert set(map(tuple, skipped.values())) == {layers}
    assert (trace.table.sum(axis=-1) == 65535).all()
    assert not torch.equal(latents(cached), latents(plain))
    assert torch.equal(latents(after), latents(plain))
