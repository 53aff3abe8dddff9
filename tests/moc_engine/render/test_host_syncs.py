"""No step of a render makes the host wait for its device: steps run on the meta device, without values."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler

from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.models.animatic.family import AnimaticFamily
from moc_engine.models.animatic.scene import CHANNELS, SLOTS
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import CaptionStates, ShotCondition
from moc_engine.models.vace_adapter import VaceAdapter
from moc_engine.models.wan_adapter import WanAdapter
from moc_engine.render.shot_denoising import shot_denoising
from tests.fakes.host_syncs import SYNCS, HostSync, no_host_syncs
from tests.fakes.hunyuan_folder import SHOT, bare_hunyuan
from tests.fakes.models import tiny_animatic
from tests.fakes.prepared import VIDEO, bare_video, histories_of, prepared_render, two_experts
from tests.fakes.wan_folders import vace_denoiser

META = torch.device("meta")


class MetaAnimatic(AnimaticFamily):
    """The embedded family, whose captions are encoded on the CPU."""

    def captions(self, *captions: Any) -> CaptionStates:
        read = super().captions(*captions)
        assert read.mask_BS is not None
        return CaptionStates(states_BSE=read.states_BSE.to(META), mask_BS=read.mask_BS.to(META))


def animatic() -> tuple[Backbone, tuple[int, int, int, int]]:
    pipeline = tiny_animatic()
    family = MetaAnimatic(pipeline)
    pipeline.smoother.to(META)
    backbone = Backbone(
        name="tiny",
        adapter=WanAdapter(pipeline.transformer.to(META)),
        scheduler=pipeline.scheduler,
        family=family,
        device=META,
    )
    return backbone, (CHANNELS, 6, SLOTS, 1)


@pytest.mark.parametrize("model", [animatic, lambda: (bare_video(META), VIDEO)], ids=["animatic", "video"])
@pytest.mark.parametrize(
    "routing", [{}, {"outer_shots": 1}, {"top_k": 2, "pooling": "after"}, {"full_below": 1 << 20}]
)
@pytest.mark.parametrize("chunking", ["frame", "track"])
def test_no_step_makes_the_host_wait(model: Any, routing: dict[str, Any], chunking: Any) -> None:
    """From the second step on; the first one may copy what the others use too."""
    backbone, shape = model()
    config = RoutingConfig(backend="gathered", chunking=chunking, **routing)
    render = prepared_render(backbone, shape, 3, config, SamplerConfig(steps=4, guidance=3.0))
    steps = shot_denoising(render, backbone, histories_of(backbone, render)).steps()
    next(steps)
    with no_host_syncs():
        done = list(steps)
    assert [step.step for step in done] == [2, 3, 4]
    assert done[-1].latents.device == META


@pytest.mark.parametrize("routing", [{}, {"full_below": 1 << 20}])
def test_no_step_with_captions_in_the_sequence_makes_the_host_wait(routing: dict[str, Any]) -> None:
    backbone = bare_hunyuan(META)
    config = RoutingConfig(backend="gathered", **routing)
    render = prepared_render(backbone, SHOT, 2, config, SamplerConfig(steps=3, guidance=1.0))
    steps = shot_denoising(render, backbone, histories_of(backbone, render)).steps()
    next(steps)
    with no_host_syncs():
        assert [step.step for step in steps] == [2, 3]


@pytest.mark.parametrize("scheduler", [UniPCMultistepScheduler, DPMSolverMultistepScheduler])
def test_no_solver_and_no_change_of_experts_makes_the_host_wait(scheduler: Any) -> None:
    """The expert for low noise has its first step, which may copy too, before the watch begins."""
    flow = scheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
    backbone = two_experts(META, 0.9, flow)
    sampler = SamplerConfig(steps=6, guidance=3.0, guidance_2=2.0)
    render = prepared_render(backbone, VIDEO, 3, RoutingConfig(backend="gathered"), sampler)
    assert render.experts == ("high", "low")
    steps = shot_denoising(render, backbone, histories_of(backbone, render)).steps()
    levels = [step.level for step in render.schedule.steps]
    for _ in range(1 + sum(level >= 0.9 for level in levels)):
        next(steps)
    with no_host_syncs():
        done = list(steps)
    assert [step.step for step in done] == list(range(7 - len(done), 7))
    assert len(done) >= 3


@pytest.mark.parametrize(
    "condition",
    [
        ShotCondition(first_BCFHW=torch.empty(1, 4, 1, 8, 6, device=META)),
        ShotCondition(channels_BCFHW=torch.empty(1, 5, 2, 8, 6, device=META)),
    ],
    ids=["first latent frame", "channels"],
)
@pytest.mark.parametrize("two_passes", [False, True])
def test_no_step_from_a_picture_makes_the_host_wait(condition: ShotCondition, two_passes: bool) -> None:
    more = 0 if condition.channels_BCFHW is None else condition.channels_BCFHW.shape[1]
    backbone = bare_video(META, in_channels=4 + more)
    sampler = SamplerConfig(steps=3, guidance=3.0)
    render = prepared_render(backbone, VIDEO, 0, RoutingConfig(backend="grouped"), sampler)
    denoising = shot_denoising(render, backbone, {"": None}.get, two_passes=two_passes)
    steps = replace(denoising, condition=condition).steps()
    next(steps)
    with no_host_syncs():
        assert [step.step for step in steps] == [2, 3]


@pytest.mark.parametrize("two_passes", [False, True])
def test_no_step_with_a_control_and_reference_pictures_makes_the_host_wait(two_passes: bool) -> None:
    transformer = vace_denoiser(in_channels=4, out_channels=4, vace_in_channels=12).to(META)
    backbone = replace(bare_video(META), adapter=VaceAdapter(transformer))
    condition = ShotCondition(
        control_BCFHW=torch.empty(1, 12, 4, 8, 6, device=META),
        control_scale=0.5,
        references_BCFHW=torch.empty(1, 4, 2, 8, 6, device=META),
    )
    sampler = SamplerConfig(steps=3, guidance=3.0)
    render = prepared_render(backbone, VIDEO, 0, RoutingConfig(backend="grouped"), sampler)
    denoising = shot_denoising(render, backbone, lambda expert: None, two_passes=two_passes)
    steps = replace(denoising, condition=condition).steps()
    assert next(steps).latents.shape == (1, *VIDEO)
    with no_host_syncs():
        assert [step.step for step in steps] == [2, 3]


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("sync", SYNCS)
def test_what_makes_the_host_wait_is_found(sync: str, device: str) -> None:
    x = torch.ones(3, device=device)
    with no_host_syncs(), pytest.raises(HostSync):
        SYNCS[sync](x)
