"""FastWan's fixed steps: the result is predicted, and made noisy again for the next one."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from moc_engine.config import SamplerChoice
from moc_engine.contract import RenderRequest
from moc_engine.errors import EngineError
from moc_engine.models.backbone import Backbone
from moc_engine.models.loading import load_backbone
from moc_engine.models.wan.distilled import DistilledScheduler
from moc_engine.render.denoise import draw_noises
from moc_engine.render.prepare import prepare
from moc_engine.render.shot_denoising import shot_denoising
from tests.fakes.wan_folders import fastwan_folder


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    folder = tmp_path_factory.mktemp("models") / "fastwan"
    fastwan_folder(folder)
    return load_backbone(folder, "cpu")


@pytest.fixture
def request_(tmp_path: Path) -> RenderRequest:
    return RenderRequest(
        previews=0,
        shot=0,
        caption="a fox runs",
        global_caption="",
        cast=(),
        seconds=9 / 24,
        fps=24,
        size=(64, 32),
        seed=3,
        output=tmp_path,
    )


def test_noise_levels_are_those_of_the_nearest_trained_timesteps() -> None:
    schedule = DistilledScheduler((1000, 757, 522), shift=5.0).schedule(3)
    assert [step.timestep for step in schedule.steps] == [1000, 757, 522]
    assert [step.sigma for step in schedule.steps] == pytest.approx([1.0, 0.757098, 0.521562], abs=1e-5)
    assert schedule.noises == 2


def test_a_render_is_three_predictions_made_noisy_again(backbone: Backbone, request_: RenderRequest) -> None:
    prepared = prepare(request_, backbone)
    *_, done = shot_denoising(prepared, backbone, {"": None}.get).steps()
    noise, *fresh = islice(draw_noises((1, *prepared.shape), 3), 3)
    captions = backbone.family.captions("", "a fox runs", ()).states_BSE
    latents, model = noise, backbone.transformer
    sigmas = [step.sigma for step in prepared.schedule.steps]
    for timestep, sigma, after, added in zip(
        (1000, 757, 522), sigmas, [*sigmas[1:], 0.0], [*fresh, torch.zeros_like(noise)], strict=True
    ):
        with torch.no_grad():
            velocity = model(latents, torch.tensor([timestep]), captions, return_dict=False)[0]
        latents = (1 - after) * (latents - sigma * velocity) + after * added
    torch.testing.assert_close(done.latents, latents, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sampler": SamplerChoice(steps=20)}, "the model renders in its 3 steps, got 20"),
        ({"sampler": SamplerChoice(scheduler="euler")}, "has no choice of scheduler"),
        ({"negative_prompt": "blurred"}, "takes no negative prompt"),
    ],
)
def test_what_it_was_not_distilled_for_is_told(
    changes: dict[str, Any], words: str, backbone: Backbone, request_: RenderRequest
) -> None:
    assert (backbone.family.sampler.steps, backbone.family.sampler.guidance) == (3, 1.0)
    with pytest.raises(EngineError, match=words):
        prepare(replace(request_, **changes), backbone)
