"""Traces a render: the recorder of its attention, and what the finished latents add to the trace."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import lru_cache

import numpy as np
from torch import Tensor

from moc_engine.config import PartSteering
from moc_engine.models.backbone import Backbone
from moc_engine.models.base import ComparesLooks, LimitsCaptions, LocatesSlots
from moc_engine.models.memory_errors import is_out_of_memory
from moc_engine.render.denoising_pass import DenoisingPass
from moc_engine.render.portraits import VISIBLE, portraits
from moc_engine.render.prepare import PreparedRender, chunk_names
from moc_engine.sources.lora_source import lora_name
from moc_engine.trace.record import ContextChunk, Portraits, QueryChunk, RoutingTrace
from moc_engine.trace.recorder import TraceRecorder


def trace_recorder(
    prepared: PreparedRender,
    backbone: Backbone,
    attention: DenoisingPass,
    kind: type[TraceRecorder] = TraceRecorder,
) -> TraceRecorder:
    """A recorder of a render's attention. The shot's own chunks get their names once it is finished.

    Its routing holds the settings, `full_below` as a number where there is a history, and as
    `full_below_asked` as it was set, which may be "auto"; as `full_attention` whether attention was full, of
    how many `tokens`; as `backend_choice` why the backend was chosen; whether the blocks around the
    attention were `compiled`, which changes the last bits; and as `experts` which transformer made each step
    ("" where there is one). `loras` are those used, and what of each was left out;
    `step_cache` is what may skip blocks, and `skipped` then lists steps with the layers that they skipped;
    `profile` says how the model was fitted to the device, and whether it was to be another one;
    `captions_left_out` the tokens of the captions that were not read; `caption_backend` is what attends to
    captions, and `dense_backend` what attends to the own shot where there is no history.
    `reference_pictures` are attended to with the own shot, and counted with it; `processes` are those that
    rendered the shot together, where there were several.
    `ShotDenoising.finished_trace` adds as `memory` what was remembered, and moved in a step.
    """
    request = prepared.request
    lengths = np.diff(prepared.grid.extent.offsets).tolist()
    spans = _latent_spans(prepared.grid.chunk_frames(), backbone)
    context = [ContextChunk(kind="own", name="own shot", shot=request.shot, frames=(0, prepared.shape[1]))]
    for take in prepared.context:
        spans_of_take = tuple(_latent_spans(take.chunk_frames, backbone))
        context += _history_chunks(take.source.shot, take.source.id, tuple(take.names), spans_of_take)
    return kind(
        shot=request.shot,
        model=backbone.name,
        backend=attention.chosen.backend.name,
        routing={
            **asdict(attention.context.routing),
            "full_below_asked": prepared.routing.full_below,
            "full_attention": attention.context.is_full,
            "tokens": attention.context.tokens,
            "backend_choice": attention.chosen.why,
            "compiled": backbone.compiled is not None,
            "caption_backend": backbone.adapter.caption_backend,
            "dense_backend": backbone.adapter.dense_backend,
            "reference_pictures": len(prepared.pictures.references),
            "step_cache": request.step_cache,
            "profile": {"name": backbone.profile.name, "note": backbone.profile_note},
            "captions_left_out": _left_out(prepared, backbone),
            "experts": [backbone.at(step.level).expert for step in prepared.schedule.steps],
            "loras": [{**asdict(lora), "source": lora_name(lora.source)} for lora in prepared.loras],
            **({} if backbone.split is None else {"processes": backbone.split.processes}),
        },
        steering={**asdict(request.steering), "parts": _parts_to_json(request.parts)},
        query=[
            QueryChunk(name=str(nth + 1), frames=span, tokens=tokens)
            for nth, (span, tokens) in enumerate(zip(spans, lengths, strict=True))
        ],
        context=context,
        layers=backbone.adapter.layers,
        heads=backbone.adapter.heads,
        may_skip=request.step_cache is not None,
        steps=len(prepared.schedule),
        device=backbone.device,
        split=backbone.split,
    )


@lru_cache(maxsize=1024)
def _history_chunks(
    shot: int, take: str, names: tuple[str, ...], spans: tuple[tuple[int, int], ...]
) -> tuple[ContextChunk, ...]:
    """The chunks of a take, which the traces of all later shots name."""
    return tuple(
        ContextChunk(kind="history", name=name, shot=shot, take=take, frames=span)
        for name, span in zip(names, spans, strict=True)
    )


def finished_trace(
    trace: RoutingTrace, latents: Tensor, prepared: PreparedRender, backbone: Backbone
) -> RoutingTrace:
    """The trace with what only the finished latents tell: chunk names, boxes, looks, and portraits."""
    family, grid = backbone.family, prepared.grid
    names = chunk_names(latents, grid, prepared.request.cast, backbone)
    query = [replace(chunk, name=name) for chunk, name in zip(trace.query, names, strict=True)]
    tracks = grid.chunking == "track"
    boxes = family.boxes(latents, prepared.request.size) if isinstance(family, LocatesSlots) else None
    looks = family.looks(latents) if tracks and isinstance(family, ComparesLooks) else None
    seen = None if looks is not None else _portraits(trace, latents, prepared, backbone)
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


def _portraits(
    trace: RoutingTrace, latents: Tensor, prepared: PreparedRender, backbone: Backbone
) -> Portraits | None:
    """Portraits of the cast, with what their tokens attended to.

    None where the caption names nobody, or where there is not enough memory for the pass it takes.
    """
    request = prepared.request
    try:
        found = portraits(
            backbone,
            latents,
            global_caption=request.global_caption,
            caption=request.caption,
            cast=request.cast,
        )
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return None  # the take must not be lost for its portraits
    if not found:
        return None
    weights = [prepared.grid.to_chunks(portrait.weights, dim=0).double().numpy() for portrait in found]
    return Portraits(
        names=tuple(portrait.name for portrait in found),
        vectors=np.stack([portrait.vector.double().numpy() for portrait in found]),
        shares=np.stack([trace.attended_by(those) for those in weights]),
    )


def _left_out(prepared: PreparedRender, backbone: Backbone) -> dict[str, int]:
    family, request = backbone.family, prepared.request
    if not isinstance(family, LimitsCaptions):
        return {}
    left_out = family.left_out(request.global_caption, request.caption)
    return asdict(left_out) if left_out else {}


def _parts_to_json(parts: PartSteering) -> dict[str, object]:
    """Steering of parts as JSON can hold it: "2/Mira" is the part Mira of shot 2."""
    return {
        "pins": [f"{shot}/{name}" for shot, name in parts.pins],
        "bans": [f"{shot}/{name}" for shot, name in parts.bans],
        "boosts": {f"{shot}/{name}": boost for (shot, name), boost in parts.boosts.items()},
    }


def _latent_spans(chunk_frames: list[tuple[int, int]], backbone: Backbone) -> list[tuple[int, int]]:
    """The latent frames first:stop of each chunk, from its token frames."""
    patch = backbone.adapter.patch[0]
    return [(first * patch, stop * patch) for first, stop in chunk_frames]
