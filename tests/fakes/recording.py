"""A recorder that besides summing up keeps every single share, and a render that uses it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from moc_engine.contract import RenderRequest
from moc_engine.memory.context import ContextMemory
from moc_engine.models.backbone import Backbone
from moc_engine.render.prepare import PreparedRender, chunk_names, prepare, take_memory
from moc_engine.render.shot_denoising import shot_denoising
from moc_engine.trace.record import RoutingTrace
from moc_engine.trace.recorder import TraceRecorder


class EveryShare:
    """Stands before a recorder.

    `shares` and `picks` (layers, steps, heads, tokens, context chunks) are what it was told, one by one.
    """

    def __init__(
        self, inner: TraceRecorder, prepared: PreparedRender, backbone: Backbone, chunks: int
    ) -> None:
        self._inner = inner
        config = backbone.transformer.config
        shape = (
            config.num_layers,
            prepared.sampler.steps,
            config.num_attention_heads,
            prepared.grid.tokens,
            chunks,
        )
        self._step = 0
        self.shares = np.zeros(shape)
        self.picks = np.zeros(shape, dtype=np.int64)

    def begin(self, step: int) -> None:
        self._step = step
        self._inner.begin(step)

    def add(
        self,
        *,
        layer: int,
        own: Tensor,
        routed: Tensor,
        indices: Tensor,
        pinned: Tensor,
        pins: list[int],
    ) -> None:
        for head, token in np.ndindex(own.shape[:2]):
            shares, picks = (
                self.shares[layer, self._step, head, token],
                self.picks[layer, self._step, head, token],
            )
            shares[0] += own[head, token, 0]
            for nth, chunk in enumerate(indices[head, token].tolist()):
                if chunk >= 0:
                    shares[1 + chunk] += routed[head, token, nth]
                    picks[1 + chunk] += 1
            for nth, chunk in enumerate(pins):
                shares[1 + chunk] += pinned[head, token, nth]
        self._inner.add(layer=layer, own=own, routed=routed, indices=indices, pinned=pinned, pins=pins)


@torch.no_grad()
def recorded(backbone: Backbone, request: RenderRequest) -> tuple[RoutingTrace, EveryShare]:
    """The trace of a render as `ShotRenderer` makes it, and every share that went into it."""
    prepared = prepare(request, backbone)
    memory = ContextMemory(budget=1 << 30, spill=None, device=backbone.device)
    for take in prepared.context:
        read = take_memory(take, prepared.routing, prepared.sampler, backbone)
        memory.add(take.memory, take.grid.extent, lambda read=read: read)  # type: ignore[misc]
    gathering = memory.gather(
        [take.memory for take in prepared.context], [take.source.shot for take in prepared.context]
    )
    history = None
    while True:
        try:
            next(gathering)
        except StopIteration as stop:
            history = stop.value
            break
    denoising = shot_denoising(prepared, backbone, {"": history}.get)
    denoising.begin(0)
    attention = denoising.attention
    inner = attention.recorder
    assert inner is not None
    chunks = 1 + sum(take.grid.extent.chunks for take in prepared.context)
    every = EveryShare(inner, prepared, backbone, chunks)
    attention.recorder = every  # type: ignore[assignment]
    *_, done = denoising.steps()
    latents = done.latents
    trace = inner.finish()
    names = chunk_names(latents[0], prepared.grid, request.cast, backbone)
    query = [replace(chunk, name=name) for chunk, name in zip(trace.query, names, strict=True)]
    return replace(trace, query=tuple(query)), every
