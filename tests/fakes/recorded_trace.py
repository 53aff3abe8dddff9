"""A small trace that a recorder made."""

from __future__ import annotations

import torch

from moc_engine.trace.record import ContextChunk, QueryChunk, RoutingTrace
from moc_engine.trace.recorder import TraceRecorder

NAMES = ("Mira", "the ball")


def small_trace(*, captions: bool = False, take: str = "take-0") -> RoutingTrace:
    """Shot 2 after two shots: 2 layers, 2 heads, 4 steps in 4 groups, everything set by hand."""
    query = [QueryChunk(name=name, frames=(0, 3), tokens=n) for name, n in zip(NAMES, (3, 1), strict=True)]
    context = [ContextChunk(kind="own", name=name, shot=2, frames=(0, 3)) for name in NAMES]
    context += [
        ContextChunk(kind="history", name=name, shot=shot, take=f"take-{shot}", frames=(0, 3))
        for shot in (0, 1)
        for name in NAMES
    ]
    if captions:
        context.append(ContextChunk(kind="caption", name="caption", shot=2))
    recorder = TraceRecorder(
        shot=2,
        model="animatic",
        backend="grouped",
        routing={"top_k": 1},
        steering={"boosts": {0: 1.5}, "pins": [1]},
        query=query,
        context=context,
        layers=2,
        heads=2,
        steps=4,
    )
    for step in range(4):
        recorder.begin(step)
        for layer in range(2):
            own = torch.full((2, 4, 2), 0.25)
            own[:, 0] = 0.3  # the first token looks at its own shot more
            routed = torch.full((2, 4, 1), 0.25)
            routed[:, 0] = 0.15
            indices = torch.full((2, 4, 1), layer)  # layer 0 chooses Mira in shot 0, layer 1 the ball
            rest = 1 - own.sum(dim=-1) - routed[..., 0]
            if captions:
                recorder.add(layer=layer, own=own, routed=routed, indices=indices, captions=rest[..., None])
            else:
                pinned = torch.stack((rest * 0.75, rest * 0.25), dim=-1)
                recorder.add(
                    layer=layer,
                    own=own,
                    routed=routed,
                    indices=indices,
                    pinned=pinned,
                    pins=(2, 3),
                )
    return recorder.finish()
