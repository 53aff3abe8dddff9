"""A renderer that keeps the contract with flat colours: real tiny MP4s and traces, no model."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from moc_engine.contract import (
    CancelToken,
    RenderEvent,
    RenderRequest,
    RenderResult,
    StageEvent,
    StepEvent,
)
from moc_engine.errors import RenderCancelled
from moc_engine.film import ClipWriter
from moc_engine.recording import TraceRecorder
from moc_engine.trace import ContextChunk, QueryChunk, RoutingTrace

STEPS = 4


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
        save_file({"latents": np.array([request.seed])}, latents)
        trace_of(request).save(trace)
        frames = write_clip(
            clip,
            colour_of(request.seed),
            seconds=request.seconds,
            fps=request.fps,
            size=request.size,
            comment=json.dumps(dict(request.recipe)),
        )
        return RenderResult(
            clip=clip,
            latents=latents,
            trace=trace,
            frames=frames,
            backend="fake",
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
    """Half of the attention stays, the rest is spread evenly over the shots that are not banned."""
    frames = (0, 18)
    sources = [take for take in request.context if take.shot not in request.steering.bans]
    context = [ContextChunk(kind="own", name="everything", shot=request.shot, frames=frames)]
    context += [
        ContextChunk(kind="history", name=f"all of shot {t.shot + 1}", shot=t.shot, take=t.id, frames=frames)
        for t in sources
    ]
    recorder = TraceRecorder(
        shot=request.shot,
        model="fake",
        backend="fake",
        routing={},
        steering={"pins": list(request.steering.pins), "bans": list(request.steering.bans)},
        query=[QueryChunk(name="everything", frames=frames, tokens=1)],
        context=context,
        layers=1,
        heads=1,
        steps=1,
    )
    share = 0.5 / len(sources) if sources else 0.0
    recorder.add(
        layer=0,
        step=0,
        own=np.array([[[1.0 - share * len(sources)]]]),
        routed=np.full((1, 1, len(sources)), share),
        indices=np.arange(len(sources)).reshape(1, 1, -1),
    )
    return recorder.finish()
