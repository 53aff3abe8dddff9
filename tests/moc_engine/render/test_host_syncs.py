"""No step of a render makes the host wait for its device: steps run on the meta device, without values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from moc_engine.config import RoutingConfig, SamplerConfig, Steering
from moc_engine.contract import ContextTake, RenderRequest
from moc_engine.memory.context import ContextMemory, History
from moc_engine.models.animatic.family import AnimaticFamily
from moc_engine.models.animatic.scene import CHANNELS, SLOTS
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import CaptionStates
from moc_engine.render.memory_pass import compute_memory
from moc_engine.render.prepare import PreparedRender, PreparedTake
from moc_engine.render.shot_denoising import shot_denoising
from moc_engine.stored_file import LocalFile
from tests.fakes.host_syncs import SYNCS, HostSync, no_host_syncs
from tests.fakes.models import tiny_animatic, tiny_transformer

META = torch.device("meta")


class MetaAnimatic(AnimaticFamily):
    """The embedded family, whose captions are encoded on the CPU."""

    def captions(self, *captions: Any) -> CaptionStates:
        read = super().captions(*captions)
        assert read.mask_BS is not None
        return CaptionStates(states_BSE=read.states_BSE.to(META), mask_BS=read.mask_BS.to(META))


class MetaVideo:
    """A family of a Wan transformer without parts for texts and pictures."""

    def captions(self, *_: Any) -> CaptionStates:
        return CaptionStates(states_BSE=torch.empty(1, 7, 16, device=META))

    def model_input(self, latents: Tensor) -> Tensor:
        return latents

    def velocity(self, predicted: Tensor, latents: Tensor, level: Tensor) -> Tensor:
        return predicted


def animatic() -> tuple[Backbone, tuple[int, int, int, int]]:
    pipeline = tiny_animatic()
    family = MetaAnimatic(pipeline)
    pipeline.smoother.to(META)
    backbone = Backbone(
        name="tiny",
        transformer=pipeline.transformer.to(META),
        scheduler=pipeline.scheduler,
        family=family,
        device=META,
    )
    return backbone, (CHANNELS, 6, SLOTS, 1)


def video() -> tuple[Backbone, tuple[int, int, int, int]]:
    family: Any = MetaVideo()
    backbone = Backbone(
        name="tiny",
        transformer=tiny_transformer().to(META),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        family=family,
        device=META,
    )
    return backbone, (4, 2, 8, 6)


def prepared(
    backbone: Backbone, shape: tuple[int, int, int, int], takes: int, **routing: Any
) -> PreparedRender:
    """A render after so many takes of the same shape."""
    family_routing = RoutingConfig(backend="gathered" if takes else "auto", **routing)
    grid = backbone.grid(shape, family_routing.chunking)
    sources = [
        ContextTake(
            id=f"take {shot}",
            shot=shot,
            latents=LocalFile(Path("none")),
            caption="",
            global_caption="",
            cast=(),
            seconds=1.0,
        )
        for shot in range(takes)
    ]
    request = RenderRequest(
        shot=takes,
        caption="Mira walks right on the beach",
        global_caption="",
        cast=("Mira",),
        seconds=1.0,
        fps=1.0,
        size=(96, 54),
        seed=3,
        output=Path("none"),
        context=tuple(sources),
        steering=Steering(pins=(0,), boosts={1: 2.0}) if takes else Steering(),
    )
    return PreparedRender(
        request=request,
        routing=family_routing,
        sampler=SamplerConfig(steps=4, guidance=3.0),
        shape=shape,
        grid=grid,
        context=tuple(
            PreparedTake(source=source, latents=torch.zeros(shape), grid=grid, memory=source.id)
            for source in sources
        ),
    )


def history_of(backbone: Backbone, render: PreparedRender) -> History | None:
    """Memories of the takes, computed on the meta device."""
    memory = ContextMemory(device=META)
    captions = backbone.family.captions("", "", ())
    chunking, pooling = render.routing.chunking, render.routing.pooling
    for take in render.context:
        read = compute_memory(backbone, take.latents, captions, chunking=chunking, pooling=pooling, noise=0.0)
        memory.add(take.memory, take.grid.extent, lambda read=read: read)  # type: ignore[misc]
    return memory.history()


@pytest.mark.parametrize("model", [animatic, video])
@pytest.mark.parametrize("routing", [{}, {"outer_shots": 1}, {"top_k": 2, "pooling": "after"}])
@pytest.mark.parametrize("chunking", ["frame", "track"])
def test_no_step_makes_the_host_wait(model: Any, routing: dict[str, Any], chunking: Any) -> None:
    """From the second step on; the first one may copy what the others use too."""
    backbone, shape = model()
    render = prepared(backbone, shape, 3, chunking=chunking, **routing)
    steps = shot_denoising(render, backbone, history_of(backbone, render)).steps()
    next(steps)
    with no_host_syncs():
        done = list(steps)
    assert [step.step for step in done] == [2, 3, 4]
    assert done[-1].latents.device == META


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("sync", SYNCS)
def test_what_makes_the_host_wait_is_found(sync: str, device: str) -> None:
    x = torch.ones(3, device=device)
    with no_host_syncs(), pytest.raises(HostSync):
        SYNCS[sync](x)
