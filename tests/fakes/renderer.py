"""A renderer that keeps the contract with flat colours: real tiny MP4s and traces, no model."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from moc_engine.clip import ClipWriter
from moc_engine.contract import CancelToken, RenderEvent, RenderRequest, RenderResult, StageEvent, StepEvent
from moc_engine.errors import RenderCancelled
from moc_engine.frame_rate import exact_rate
from moc_engine.trace.record import EMPTY, ContextChunk, QueryChunk, RoutingTrace
from moc_engine.trace.trace_file import write_trace
from moc_engine.trace.units import Floats, in_units

STEPS = 4
LATENT_RATE, PATCH = 6, 3
"""Latent frames a second, and those of a token."""


class FakeRenderer:
    """Draws each shot in a colour that its seed decides, and remembers what it was asked.

    `before_step` is called with the shot and the step before each denoising step; it may wait, or
    raise what a real renderer would. `preview` is told with each step.
    """

    def __init__(
        self,
        before_step: Callable[[int, int], None] = lambda shot, step: None,
        preview: bytes | None = None,
    ) -> None:
        self.requests: list[RenderRequest] = []
        self._before_step = before_step
        self._preview = preview

    def render(
        self, request: RenderRequest, cancel: CancelToken | None = None
    ) -> Generator[RenderEvent, None, RenderResult]:
        self.requests.append(request)
        began = time.monotonic()
        yield StageEvent(stage="denoise")
        for step in range(STEPS):
            if cancel is not None and cancel.is_set():
                raise RenderCancelled
            self._before_step(request.shot, step)
            yield StepEvent(
                stage="denoise", step=step + 1, steps=STEPS, seconds_left=0.0, preview=self._preview
            )
        denoised = time.monotonic()
        yield StageEvent(stage="decode")
        latents, trace, clip = (
            request.output / name for name in ("latents.safetensors", "trace.moc", "clip.mp4")
        )
        save_file({"latents": np.full((1, 1, 1, 1), request.seed, dtype=np.float32)}, latents)
        write_trace(trace_of(request), trace)
        frames = write_clip(
            clip,
            colour_of(request.seed),
            seconds=request.seconds,
            fps=float(exact_rate(request.fps)),
            size=request.size,
            comment=json.dumps(dict(request.recipe)),
        )
        return RenderResult(
            clip=clip,
            latents=latents,
            trace=trace,
            frames=frames,
            backend="fake",
            device="cpu",
            dtype="float32",
            timings={"denoise": denoised - began, "decode": time.monotonic() - denoised},
        )


def colour_of(seed: int) -> tuple[int, int, int]:
    """A colour that tells seeds apart."""
    red, green, blue = np.random.default_rng(seed).integers(40, 216, 3)
    return int(red), int(green), int(blue)


def write_clip(
    clip: Path,
    colour: tuple[int, int, int],
    *,
    seconds: float,
    fps: float,
    size: tuple[int, int],
    comment: str = "",
) -> int:
    """A clip of one colour with a bright bar that moves; returns its number of frames."""
    frames = max(1, round(seconds * fps))
    width, height = size
    with ClipWriter(clip, size, fps, comment) as writer:
        for index in range(frames):
            picture = np.full((height, width, 3), colour, dtype=np.uint8)
            at = index * (width - 8) // frames
            picture[:, at : at + 8] = 255
            writer.write(picture)
    return frames


def trace_of(request: RenderRequest) -> RoutingTrace:
    """Half of the attention stays, the rest is spread evenly over the shots that are not banned. Of a shot,
    three quarters go to the part of the same name, or else to its set.

    Layers, heads and steps lean to either side of that, and tokens to none.
    """
    names = parts_of(request.caption, request.cast)
    frames = latent_frames(request.seconds)
    context = [ContextChunk(kind="own", name="own shot", shot=request.shot, frames=(0, frames))]
    context += [
        ContextChunk(
            kind="history", name=name, shot=take.shot, take=take.id, frames=(0, latent_frames(take.seconds))
        )
        for take in request.context
        for name in parts_of(take.caption, take.cast)
    ]
    query = [QueryChunk(name=name, frames=(0, frames), tokens=frames // PATCH) for name in names]
    even = np.array([_drawn(request, name, context[1:]) for name in names])  # query, history
    layer, head, step = (np.arange(count) - (count - 1) / 2 for count in (2, 2, STEPS))
    lean = 1.0 + 0.2 * layer[:, None, None] + 0.1 * head[:, None] + 0.1 * step
    shares = _with_own(lean[..., None, None] * even)
    tokens = [chunk.tokens for chunk in query]
    picks = np.pad(even > 0, ((0, 0), (1, 0))) * np.array(tokens)[:, None]
    return RoutingTrace(
        shot=request.shot,
        model="fake",
        backend="fake",
        routing={},
        steering={
            "pins": list(request.steering.pins),
            "bans": list(request.steering.bans),
            "parts": {"bans": [f"{shot}/{name}" for shot, name in request.parts.bans]},
        },
        query=tuple(query),
        context=tuple(context),
        step_groups=tuple((nth, nth + 1) for nth in range(STEPS)),
        weights=(1,) * STEPS,
        heads=(1, 1),
        token_run=1,
        table=in_units(shares),
        picks=np.broadcast_to(picks, shares.shape).astype(np.uint32),
        token_table=in_units(np.repeat(_with_own(even), tokens, axis=0)),
        moments=tuple((frame + 0.5) / LATENT_RATE for frame in range(frames)),
        boxes=np.array([[_box(name, nth) for nth, name in enumerate(names)]] * frames),
        looks=np.array([_look(request, name, context[1:]) for name in names]),
        visible=0.5,
    )


def _with_own(routed: Floats) -> Floats:
    """Shares of the history (…, C) with the rest, for the own shot, before them."""
    return np.concatenate((1.0 - routed.sum(axis=-1, keepdims=True), routed), axis=-1)


def parts_of(caption: str, cast: Sequence[str]) -> list[str]:
    """The set, those of the cast whom the caption names, and a place that shows nothing."""
    return ["the set", *(name for name in cast if name in caption), "prop 1" + EMPTY]


def latent_frames(seconds: float) -> int:
    return max(1, round(seconds * LATENT_RATE / PATCH)) * PATCH


def _drawn(request: RenderRequest, name: str, past: Sequence[ContextChunk]) -> list[float]:
    """What a part takes from each chunk of the past."""
    open_to_it = [
        chunk
        for chunk in past
        if not chunk.name.endswith(EMPTY)
        and chunk.shot not in request.steering.bans
        and (chunk.shot, chunk.name) not in request.parts.bans
    ]
    shots: dict[int, list[str]] = {}
    for chunk in open_to_it:
        shots.setdefault(chunk.shot, []).append(chunk.name)

    def share(chunk: ContextChunk) -> float:
        if chunk not in open_to_it:
            return 0.0
        there = shots[chunk.shot]
        favoured = name if name in there else there[0]
        return 0.5 / len(shots) * (0.25 / len(there) + (0.75 if chunk.name == favoured else 0.0))

    return [share(chunk) for chunk in past]


def _look(request: RenderRequest, name: str, past: Sequence[ContextChunk]) -> tuple[float, float]:
    """Always the same, but of who may not look at any of their earlier appearances."""
    if name.endswith(EMPTY):
        return float("nan"), float("nan")
    own = [chunk for chunk in past if chunk.name == name]
    lost = [
        chunk
        for chunk, share in zip(past, _drawn(request, name, past), strict=True)
        if chunk in own and share == 0 and (chunk.shot, name) not in request.parts.pins
    ]
    return (1.0, 0.0) if own and len(lost) == len(own) else (0.0, 0.0)


def _box(name: str, nth: int) -> tuple[float, float, float, float]:
    """The set fills the picture, the first of the cast stands to the left, the next further right."""
    if name.endswith(EMPTY):
        return 0.0, 0.0, 0.0, 0.0
    left = 0.3 * nth - 0.2
    return (0.0, 0.0, 1.0, 1.0) if nth == 0 else (left, 0.3, left + 0.2, 0.8)
