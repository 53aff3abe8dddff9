"""Renders that are prepared without files: random takes of one shape, and their memories."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor

from moc_engine.config import RoutingConfig, SamplerConfig, Steering
from moc_engine.contract import ContextTake, RenderRequest
from moc_engine.memory.context import ContextMemory
from moc_engine.memory.history import History
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import CaptionStates
from moc_engine.models.wan_adapter import WanAdapter
from moc_engine.render.memory_pass import compute_memory
from moc_engine.render.prepare import PreparedRender, PreparedTake
from moc_engine.render.shot_denoising import HistoryOf
from moc_engine.stored_file import LocalFile
from tests.fakes.models import tiny_transformer

Shape = tuple[int, int, int, int]

VIDEO: Shape = (4, 2, 8, 6)
"""The shape of latents for `bare_video`."""


class BareVideo:
    """A family of a Wan transformer without parts for texts and pictures."""

    negative_prompt = ""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def captions(self, global_caption: str, caption: str, *_: Any) -> CaptionStates:
        states = torch.randn(1, 7, 16, generator=torch.Generator().manual_seed(len(caption)))
        return CaptionStates(states_BSE=states.to(self._device))

    def model_input(self, latents: Tensor) -> Tensor:
        return latents

    def velocity(self, predicted: Tensor, latents: Tensor, level: Tensor) -> Tensor:
        return predicted


def bare_video(device: torch.device, scheduler: Any = None, **config: Any) -> Backbone:
    """A tiny Wan transformer on a device."""
    family: Any = BareVideo(device)
    return Backbone(
        name="tiny",
        adapter=WanAdapter(tiny_transformer(**config).to(device)),
        scheduler=scheduler or FlowMatchEulerDiscreteScheduler(shift=3.0),
        own_levels=scheduler is not None,
        family=family,
        device=device,
    )


def two_experts(device: torch.device, boundary: float, scheduler: Any = None) -> Backbone:
    """A tiny model with a transformer of its own for noise levels below `boundary`."""
    high = replace(bare_video(device, scheduler), expert="high", boundary=boundary)
    other = tiny_transformer(seed=1).to(device)
    return replace(high, low_noise=replace(high, adapter=WanAdapter(other), expert="low"))


def prepared_render(
    backbone: Backbone, shape: Shape, takes: int, routing: RoutingConfig, sampler: SamplerConfig
) -> PreparedRender:
    """A render after so many takes of the same shape."""
    grid = backbone.grid(shape, routing.chunking)
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
        routing=routing,
        sampler=sampler,
        schedule=backbone.schedule(sampler),
        experts=tuple(expert.expert for expert in backbone.experts_of(backbone.schedule(sampler))),
        shape=shape,
        grid=grid,
        context=tuple(
            PreparedTake(
                source=source,
                latents=torch.randn(shape, generator=torch.Generator().manual_seed(source.shot)),
                grid=grid,
                memory=source.id,
                names=tuple(grid.chunk_names(())),
            )
            for source in sources
        ),
    )


def histories_of(backbone: Backbone, render: PreparedRender) -> HistoryOf:
    """The history that each expert reads, gathered before any step."""
    experts = backbone.experts_of(render.schedule)
    return {expert.expert: history_of(expert, render) for expert in experts}.__getitem__


def history_of(backbone: Backbone, render: PreparedRender) -> History | None:
    """The memories of the takes, computed on the device of the model."""
    memory = ContextMemory(device=backbone.device)
    captions = backbone.family.captions("", "", ())
    chunking, pooling = render.routing.chunking, render.routing.pooling
    for take in render.context:
        read = compute_memory(backbone, take.latents, captions, chunking=chunking, pooling=pooling, noise=0.0)
        memory.add(take.memory, take.grid.extent, lambda read=read: read)  # type: ignore[misc]
    return memory.history()
