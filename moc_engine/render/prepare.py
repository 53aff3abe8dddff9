"""Prepares a render for one model: checks the request, fills in settings, reads the context takes."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from hashlib import sha256
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from moc_engine.abilities import check_abilities
from moc_engine.clip import Frame, check_format
from moc_engine.config import MemoryConfig, RoutingConfig, SamplerConfig, Steering, Storage
from moc_engine.contract import ContextTake, Guide, RenderRequest
from moc_engine.errors import EngineError
from moc_engine.frame_rate import exact_rate
from moc_engine.memory.grid import TokenGrid
from moc_engine.memory.history import Timing
from moc_engine.memory.policies import FinishedTake, kept_tokens
from moc_engine.memory.take_memory import Extent, Kept, TakeMemory
from moc_engine.model_index import EMBEDDED
from moc_engine.models.backbone import Backbone, ExpertName
from moc_engine.models.base import (
    EncodesFrames,
    Family,
    KnowsTrainedLength,
    NamesSlots,
    ShotPictures,
    TakesPictures,
)
from moc_engine.models.lora import UsedLora
from moc_engine.models.solver import Schedule
from moc_engine.render.latents_file import read_latents
from moc_engine.render.memory_pass import compute_memory
from moc_engine.render.pictures import read_clip, read_picture
from moc_engine.render.portraits import portraits
from moc_engine.render.render_router import check_router
from moc_engine.stored_file import StoredFile


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedTake:
    """A context take: its latents (C, F, H, W) and their tokens.

    `memory` is the key of its memory: a hash of everything that decides its keys and values, and `names` are
    those of its chunks that are remembered. `kept` are the tokens that are remembered (None: all). Each
    expert of a model has a memory of its own.
    """

    source: ContextTake
    latents: Tensor
    grid: TokenGrid
    memory: str
    names: tuple[str, ...]
    kept: Kept | None = None

    @property
    def extent(self) -> Extent:
        """The size of its memory."""
        return self.grid.extent if self.kept is None else self.kept.extent

    @property
    def chunk_frames(self) -> list[tuple[int, int]]:
        """The token frames first:stop that each remembered chunk spans."""
        frames = self.grid.chunk_frames()
        return frames if self.kept is None else [frames[chunk] for chunk in self.kept.chunks]

    def memory_of(self, expert: ExpertName) -> str:
        """The key of the memory that an expert reads."""
        return f"{self.memory}-{expert}" if expert else self.memory


ChunkNames = dict[str, tuple[tuple[str, ...], Kept | None]]
"""The names of the remembered chunks of takes, and the remembered tokens, by the key of their memory."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedRender:
    """A request with the model's settings filled in; the latents will have `shape` (C, F, H, W).

    `experts` are those that denoise at any step of the `schedule`. `guide` are the frames that the shot
    starts from, as many as the model makes; `pictures` are those it is made from.
    """

    request: RenderRequest
    routing: RoutingConfig
    sampler: SamplerConfig
    schedule: Schedule
    experts: tuple[ExpertName, ...]
    shape: tuple[int, int, int, int]
    grid: TokenGrid
    context: tuple[PreparedTake, ...]
    memory: MemoryConfig = field(default_factory=MemoryConfig)
    loras: tuple[UsedLora, ...] = ()
    pictures: ShotPictures = field(default_factory=ShotPictures)
    guide: Sequence[Frame] | None = None

    @property
    def fps(self) -> Fraction:
        """The exact frame rate of the clip."""
        return exact_rate(self.request.fps)

    @property
    def frames(self) -> int:
        """The number of frames of the clip."""
        return max(1, round(self.request.seconds * float(self.fps)))

    @property
    def megapixels(self) -> float:
        """The megapixels of all frames of the clip."""
        return self.frames * math.prod(self.request.size) / 1e6


def prepare(request: RenderRequest, backbone: Backbone, names: ChunkNames | None = None) -> PreparedRender:
    """Checks the request, switches its LoRAs on, and reads its context takes.

    `names` are those of takes read before with this model; those of further ones are added. Raises
    `ValueError` naming the wrong field, `EngineError` for what the model cannot do and for a take
    that cannot be read.
    """
    if not (math.isfinite(request.seconds) and request.seconds > 0):
        raise ValueError(f"seconds: must be above 0, got {request.seconds}")
    check_format(request.size, request.fps)
    shots = [take.shot for take in request.context]
    if any(later <= earlier for earlier, later in pairwise([-1, *shots, request.shot])):
        raise ValueError(f"context: must hold shots before {request.shot}, ascending, got {shots}")
    model = "embedded model" if backbone.name == str(EMBEDDED) else f"model {backbone.name}"
    check_abilities(request, backbone.family.abilities, model)
    memory = request.memory.over(backbone.family.memory)
    routing = request.routing.over(backbone.family.routing)
    check_router(routing, boosted=bool(request.steering.boosts or request.parts.boosts))
    sampler = request.sampler.over(backbone.family.sampler)
    schedule = backbone.schedule(sampler, first_step(request.guide, sampler.steps))
    shape = backbone.family.latent_shape(request.seconds, request.size)
    names = {} if names is None else names
    loras = () if backbone.loras is None else backbone.loras.use(request.loras)
    return PreparedRender(
        request=request,
        routing=routing,
        sampler=sampler,
        schedule=schedule,
        experts=tuple(expert.expert for expert in backbone.experts_of(schedule)),
        shape=shape,
        grid=backbone.grid(shape, routing.chunking),
        context=tuple(
            _read_take(take, backbone, routing, sampler, memory, shape[0], names, loras, request)
            for take in request.context
        ),
        memory=memory,
        loras=loras,
        pictures=_pictures(request, backbone, model, shape),
        guide=_guide(request, backbone, shape),
    )


def first_step(guide: Guide | None, steps: int) -> int:
    """The step from which a shot is denoised: the first, or a later one where a guide is kept in part."""
    return 0 if guide is None else steps - max(1, min(int(steps * guide.strength), steps))


def _pictures(request: RenderRequest, backbone: Backbone, model: str, shape: Sequence[int]) -> ShotPictures:
    family, control = backbone.family, request.control
    if isinstance(family, TakesPictures) and family.needs_first_frame and request.first_frame is None:
        raise EngineError(f"the {model} starts every shot from a picture: give this one a first frame")
    return ShotPictures(
        first=None if request.first_frame is None else read_picture(request.first_frame, "first frame"),
        control=None if control is None else _frames(control.clip, "clip to follow", family, shape),
        control_scale=1.0 if control is None else control.scale,
        references=[read_picture(file, "reference picture") for file in request.references],
    )


def _guide(request: RenderRequest, backbone: Backbone, shape: Sequence[int]) -> list[Frame] | None:
    if request.guide is None:
        return None
    return _frames(request.guide.clip, "clip to start from", backbone.family, shape)


def _frames(clip: StoredFile, what: str, family: Family, shape: Sequence[int]) -> list[Frame]:
    """As many frames of a clip as latents of this shape stand for."""
    assert isinstance(family, EncodesFrames), "its abilities say so"
    return read_clip(clip, *family.frames_needed(shape), what)


def _read_take(
    take: ContextTake,
    backbone: Backbone,
    routing: RoutingConfig,
    sampler: SamplerConfig,
    memory: MemoryConfig,
    channels: int,
    names: ChunkNames,
    loras: Sequence[UsedLora],
    request: RenderRequest,
) -> PreparedTake:
    data, latents, space = _latents_of(take, backbone, request)
    if space and backbone.latent_space and space != backbone.latent_space:
        raise EngineError(
            f"the take of shot {take.shot + 1} was made by a model of another autoencoder, whose latents "
            f"this model cannot read: they are {space}, this model's {backbone.latent_space}"
        )
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
        [lora.identity for lora in loras],
        (memory.policy, memory.keyframes, memory.storage),
        (backbone.name, backbone.dtype_name),
    )
    digest = sha256(json.dumps(decisive).encode()).hexdigest()
    key, grid = f"{take.id}:{digest}", backbone.grid(latents.shape, routing.chunking)
    if key not in names:
        names[key] = _remembered_chunks(take, latents, grid, backbone, memory)
    of_chunks, kept = names[key]
    return PreparedTake(source=take, latents=latents, grid=grid, memory=key, names=of_chunks, kept=kept)


def _latents_of(take: ContextTake, backbone: Backbone, request: RenderRequest) -> tuple[bytes, Tensor, str]:
    """The file of a take's latents, these (C, F, H, W), and their space; zeros for an unfinished take."""
    if take.latents is None:
        if take.shot not in request.steering.bans or any(shot == take.shot for shot, _ in request.parts.pins):
            raise ValueError(f"context: shot {take.shot} has no latents, and is not banned")
        return b"", torch.zeros(backbone.family.latent_shape(take.seconds, request.size)), ""
    try:
        with take.latents.local() as path:
            data = path.read_bytes()
        return data, *read_latents(data)
    except (OSError, ValueError) as error:
        raise EngineError(f"the latents of shot {take.shot + 1} cannot be read: {error}") from error


def _remembered_chunks(
    take: ContextTake, latents: Tensor, grid: TokenGrid, backbone: Backbone, memory: MemoryConfig
) -> tuple[tuple[str, ...], Kept | None]:
    """The names of the chunks of a take that are remembered, and its remembered tokens (None: all)."""
    names = tuple(chunk_names(latents, grid, take.cast, backbone))
    if memory.policy == "all":
        return names, None

    def shown() -> dict[str, NDArray[np.float64]]:
        found = portraits(
            backbone,
            latents,
            global_caption=take.global_caption,
            caption=take.caption,
            cast=take.cast,
        )
        return {one.name: grid.to_chunks(one.weights, dim=0).double().cpu().numpy() for one in found}

    extent = grid.extent
    finished = FinishedTake(
        latents=latents.float().cpu().numpy(),
        frames=grid.frames,
        token_frame=grid.positions_3T[0].numpy(),
        token_chunk=np.repeat(np.arange(extent.chunks), np.diff(extent.offsets)),
        names=names,
        cast=take.cast,
        shown=shown,
    )
    kept = Kept.of_tokens(kept_tokens(memory.policy, finished, memory.keyframes), extent)
    return tuple(names[chunk] for chunk in kept.chunks), kept


def take_memory(
    take: PreparedTake,
    routing: RoutingConfig,
    sampler: SamplerConfig,
    backbone: Backbone,
    storage: Storage = "full",
    device: torch.device | None = None,
) -> TakeMemory:
    """Computes the memory of a context take for the backbone's transformer: each expert has its own.

    It lies on `device` (None: the model's).
    """
    captions = backbone.family.captions(take.source.global_caption, take.source.caption, take.source.cast)
    return compute_memory(
        backbone,
        take.latents,
        captions,
        chunking=routing.chunking,
        pooling=routing.pooling,
        noise=sampler.memory_noise,
        kept=take.kept,
        storage=storage,
        device=device,
    )


def timing_of(prepared: PreparedRender, family: Family) -> Timing:
    """Where the context takes stand in time: before the shot, and before its reference pictures.

    The length that a model was trained on is that of the shot itself where the family does not tell.
    """
    trained = family.trained_frames if isinstance(family, KnowsTrainedLength) else prepared.grid.frames
    pictures = len(prepared.pictures.references)
    return Timing(positions=prepared.memory.positions, trained=trained, between=pictures)


def steering_of(prepared: PreparedRender) -> Steering:
    """The steering of the request; where it names parts of shots, as steering of single chunks."""
    steering, parts = prepared.request.steering, prepared.request.parts
    if not parts:
        return steering
    chunks = [(take.source.shot, name) for take in prepared.context for name in take.names]
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


def chunk_names(latents_CFHW: Tensor, grid: TokenGrid, cast: Sequence[str], backbone: Backbone) -> list[str]:
    """Names of a finished shot's chunks: who or what a slot shows, where the family knows."""
    family = backbone.family
    return grid.chunk_names(family.slot_names(latents_CFHW, cast) if isinstance(family, NamesSlots) else ())
