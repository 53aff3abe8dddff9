"""A render request made complete for one model: settings, sizes, and the context takes read from disk."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from itertools import pairwise

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from moc_engine.clip import check_format
from moc_engine.config import PartSteering, RoutingConfig, SamplerConfig, Steering
from moc_engine.contract import ContextTake, RenderRequest
from moc_engine.errors import EngineError
from moc_engine.memory.context import TakeMemory
from moc_engine.memory.grid import TokenGrid
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import ComparesLooks, LocatesSlots, NamesSlots
from moc_engine.render.memory_pass import compute_memory
from moc_engine.render.portraits import VISIBLE, portraits
from moc_engine.trace.record import ContextChunk, Portraits, QueryChunk, RoutingTrace
from moc_engine.trace.recorder import TraceRecorder


@dataclass(frozen=True, kw_only=True, eq=False)
class Take:
    """A context take: its latents (C, F, H, W) and their tokens.

    `memory` names what the model remembers of it, and changes with anything that decides that.
    """

    told: ContextTake
    latents: Tensor
    grid: TokenGrid
    memory: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """What is to be rendered: latents of `shape` (C, F, H, W), in sight of `context`."""

    request: RenderRequest
    routing: RoutingConfig
    sampler: SamplerConfig
    shape: tuple[int, int, int, int]
    grid: TokenGrid
    context: tuple[Take, ...]

    @property
    def frames(self) -> int:
        """Frames of the clip."""
        return max(1, round(self.request.seconds * self.request.fps))

    @property
    def megapixels(self) -> float:
        """Of all frames of the clip."""
        return self.frames * math.prod(self.request.size) / 1e6


def prepare(request: RenderRequest, backbone: Backbone) -> Job:
    """Raises `ValueError` naming what makes no sense, `EngineError` for a take that cannot be read."""
    if not (math.isfinite(request.seconds) and request.seconds > 0):
        raise ValueError(f"seconds: must be above 0, got {request.seconds}")
    check_format(request.size, request.fps)
    shots = [take.shot for take in request.context]
    if any(later <= earlier for earlier, later in pairwise([-1, *shots, request.shot])):
        raise ValueError(f"context: must hold shots before {request.shot}, ascending, got {shots}")
    routing = request.routing.over(backbone.family.routing)
    sampler = request.sampler.over(backbone.family.sampler)
    shape = backbone.family.latent_shape(request.seconds, request.size)
    return Job(
        request=request,
        routing=routing,
        sampler=sampler,
        shape=shape,
        grid=backbone.grid(shape, routing.chunking),
        context=tuple(_read_take(take, backbone, routing, sampler, shape[0]) for take in request.context),
    )


def _read_take(
    take: ContextTake,
    backbone: Backbone,
    routing: RoutingConfig,
    sampler: SamplerConfig,
    channels: int,
) -> Take:
    try:
        data = take.latents.read_bytes()
        latents = load(data)["latents"]
    except (OSError, SafetensorError, KeyError) as error:
        raise EngineError(f"the latents of shot {take.shot + 1} cannot be read: {error}") from error
    if latents.ndim != 4 or latents.shape[0] != channels:
        raise EngineError(
            f"the take of shot {take.shot + 1} was made by another model: its latents are "
            f"{tuple(latents.shape)}, this model's have {channels} channels"
        )
    decisive = (
        sha256(data).hexdigest(),
        take.global_caption,
        take.caption,
        take.cast,
        routing.chunking,
        routing.pooling,
        sampler.memory_noise,
    )
    digest = sha256(json.dumps(decisive).encode()).hexdigest()
    return Take(
        told=take,
        latents=latents,
        grid=backbone.grid(latents.shape, routing.chunking),
        memory=f"{take.id}:{digest}",
    )


def read_memory(take: Take, routing: RoutingConfig, sampler: SamplerConfig, backbone: Backbone) -> TakeMemory:
    """What the model remembers of a take."""
    captions = backbone.family.captions(take.told.global_caption, take.told.caption, take.told.cast)
    return compute_memory(
        backbone,
        take.latents,
        captions,
        chunking=routing.chunking,
        pooling=routing.pooling,
        noise=sampler.memory_noise,
    )


def steering_of(job: Job, backbone: Backbone) -> Steering:
    """What is said of shots and of parts of them, as chunks of the history where parts are among it."""
    steering, parts = job.request.steering, job.request.parts
    if not parts:
        return steering
    chunks = [
        (take.told.shot, name)
        for take in job.context
        for name in chunk_names(take.latents, take.grid, take.told.cast, backbone)
    ]
    of_parts = {nth for nth, part in enumerate(chunks) if part in parts.pins or part in parts.bans}
    return Steering(
        pin_chunks=tuple(
            nth
            for nth, (shot, name) in enumerate(chunks)
            if (shot, name) in parts.pins or (shot in steering.pins and nth not in of_parts)
        ),
        ban_chunks=tuple(
            nth
            for nth, (shot, name) in enumerate(chunks)
            if (shot, name) in parts.bans or (shot in steering.bans and nth not in of_parts)
        ),
        boosts=steering.boosts,
        boost_chunks={nth: parts.boosts[part] for nth, part in enumerate(chunks) if part in parts.boosts},
    )


def recorder(
    job: Job, backbone: Backbone, backend: str, kind: type[TraceRecorder] = TraceRecorder
) -> TraceRecorder:
    """A recorder that knows by name what can be attended to; `chunk_names` names the shot's own chunks."""
    request, config = job.request, backbone.transformer.config
    lengths = np.diff(job.grid.extent.offsets).tolist()
    spans = _latent_spans(job.grid, backbone)
    context = [ContextChunk(kind="own", name="own shot", shot=request.shot, frames=(0, job.shape[1]))]
    for take in job.context:
        names = chunk_names(take.latents, take.grid, take.told.cast, backbone)
        context += [
            ContextChunk(kind="history", name=name, shot=take.told.shot, take=take.told.id, frames=span)
            for name, span in zip(names, _latent_spans(take.grid, backbone), strict=True)
        ]
    return kind(
        shot=request.shot,
        model=backbone.name,
        backend=backend,
        routing=asdict(job.routing),
        steering={**asdict(request.steering), "parts": _told(request.parts)},
        query=[
            QueryChunk(name=str(nth + 1), frames=span, tokens=tokens)
            for nth, (span, tokens) in enumerate(zip(spans, lengths, strict=True))
        ],
        context=context,
        layers=config.num_layers,
        heads=config.num_attention_heads,
        steps=job.sampler.steps,
    )


def of_finished(trace: RoutingTrace, latents: Tensor, job: Job, backbone: Backbone) -> RoutingTrace:
    """The trace with what only the finished shot tells: who its chunks are, and where in the picture."""
    family, grid = backbone.family, job.grid
    names = chunk_names(latents, grid, job.request.cast, backbone)
    query = [replace(chunk, name=name) for chunk, name in zip(trace.query, names, strict=True)]
    tracks = grid.chunking == "track"
    boxes = family.boxes(latents, job.request.size) if isinstance(family, LocatesSlots) else None
    looks = family.looks(latents) if tracks and isinstance(family, ComparesLooks) else None
    seen = None if looks is not None else _portraits(trace, latents, job, backbone)
    return replace(
        trace,
        query=tuple(query),
        moments=tuple(family.moments(latents.shape[1])),
        boxes=boxes if tracks else None,
        grid=(grid.height, grid.width) if boxes is None else None,
        looks=None if looks is None else looks.vectors,
        visible=VISIBLE if looks is None else looks.visible,
        portraits=seen,
    )


def _portraits(trace: RoutingTrace, latents: Tensor, job: Job, backbone: Backbone) -> Portraits | None:
    """The cast by the model's own features, and what its tokens looked at; None where nobody is named, or
    where there is no memory left to look.
    """
    request = job.request
    try:
        found = portraits(
            backbone,
            latents,
            global_caption=request.global_caption,
            caption=request.caption,
            cast=request.cast,
        )
    except (MemoryError, torch.OutOfMemoryError):  # it reads a take in one go: the take itself is worth more
        return None
    if not found:
        return None
    weights = [job.grid.to_chunks(portrait.weights, dim=0).double().numpy() for portrait in found]
    return Portraits(
        names=tuple(portrait.name for portrait in found),
        vectors=np.stack([portrait.vector.double().numpy() for portrait in found]),
        shares=np.stack([trace.looked_at(those) for those in weights]),
    )


def _told(parts: PartSteering) -> dict[str, object]:
    """As JSON can hold it: "2/Mira" is the part Mira of shot 2."""
    return {
        "pins": [f"{shot}/{name}" for shot, name in parts.pins],
        "bans": [f"{shot}/{name}" for shot, name in parts.bans],
        "boosts": {f"{shot}/{name}": boost for (shot, name), boost in parts.boosts.items()},
    }


def chunk_names(latents_CFHW: Tensor, grid: TokenGrid, cast: Sequence[str], backbone: Backbone) -> list[str]:
    """What to call the chunks of a finished shot: who or what a place shows, where the family can tell."""
    family = backbone.family
    return grid.chunk_names(family.slot_names(latents_CFHW, cast) if isinstance(family, NamesSlots) else ())


def _latent_spans(grid: TokenGrid, backbone: Backbone) -> list[tuple[int, int]]:
    """The latent frames first:stop of each chunk."""
    patch = backbone.transformer.config.patch_size[0]
    return [(first * patch, stop * patch) for first, stop in grid.chunk_frames()]
