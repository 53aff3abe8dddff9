"""Speed: painting frames, and recording traces. Attention and late shots are measured by `benchmark`.

Times are CPU times of this thread, since machines are shared; what is compared is measured alternately in one
process.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
from safetensors.torch import load_file

from moc_engine.contract import ContextTake, finish
from moc_engine.evaluation.benchmark.late_shots import request_shot, take_of
from moc_engine.models.animatic.codec import AnimaticCodec
from moc_engine.models.animatic.lexicon import CAMERAS
from moc_engine.models.animatic.scene import PROPS, SETS, Scene
from moc_engine.models.animatic.script import (
    Actor,
    PropUse,
    ShotScript,
    sample_colour,
    sample_look,
    sample_place,
)
from moc_engine.models.animatic.staging import stage
from moc_engine.models.loading import load_backbone
from moc_engine.render.prepare import prepare
from moc_engine.render.renderer import ShotRenderer
from moc_engine.render.tracing import finished_trace
from moc_engine.trace.recorder import TraceRecorder
from moc_engine.trace.trace_file import read_trace

SIZES: Final = ((1280, 720), (640, 360))
SCENES: Final = (
    ("beach", "static", "day", "clear"),
    ("forest", "pan_right", "day", "clear"),
    ("forest", "zoom_in", "day", "clear"),
    ("city", "pan_left", "night", "rain"),
)


@dataclass(frozen=True, kw_only=True)
class FrameTime:
    """CPU milliseconds per frame of a scene with two characters and two props."""

    scene: str
    size: tuple[int, int]
    median: float
    slowest: float
    first: float  # including its plates


@dataclass(frozen=True, kw_only=True)
class TracingTime:
    """CPU seconds to render a shot, and the median share of them spent on recording its routing."""

    shot: int
    seconds: float
    share: float


def time_frames(frames: int = 30) -> Iterator[FrameTime]:
    """Paints each of `SCENES` at each of `SIZES`."""
    for size in SIZES:
        for kind, camera, hour, weather in SCENES:
            codec = AnimaticCodec(size, 24.0)
            started = time.process_time()
            painting = codec.frames(_scene(kind, camera, hour, weather), frames / 24.0 + 0.5)
            next(painting)
            first = time.process_time() - started
            times = [_timed(partial(next, painting)) for _ in range(frames)]
            yield FrameTime(
                scene=f"{kind}, {camera.replace('_', ' ')}, {hour}, {weather}",
                size=size,
                median=1e3 * statistics.median(times),
                slowest=1e3 * max(times),
                first=1e3 * first,
            )


def _scene(kind: str, camera: str, hour: str, weather: str) -> Scene:
    assert camera in CAMERAS
    rng = np.random.default_rng(1)
    actors = (
        Actor(cast=0, action="walk", direction=1, look=sample_look(rng)),
        Actor(cast=1, action="wave", look=sample_look(rng)),
    )
    props = (
        PropUse(kind=PROPS.index("ball"), colour=sample_colour(rng, "red"), colour_name="red", manner="lies"),
        PropUse(
            kind=PROPS.index("balloon"),
            colour=sample_colour(rng, "blue"),
            colour_name="blue",
            manner="held",
            actor=1,
        ),
    )
    place = sample_place(rng, SETS.index(kind))
    script = ShotScript(place=place, actors=actors, props=props, time=hour, weather=weather, camera=camera)
    return stage(script, 18, rng)


class _OneStep(TraceRecorder):
    """Records only the first step, the minimum for a trace."""

    def begin(self, step: int) -> None:
        self._first = step == 0
        if self._first:
            super().begin(step)

    def add(self, **shares: Any) -> None:
        if self._first:
            super().add(**shares)


def time_tracing(
    folder: Path,
    *,
    model: Path | None = None,
    shot: int = 8,
    size: tuple[int, int] = (1280, 720),
    repeats: int = 3,
) -> TracingTime:
    """Renders a story into `folder`, then its last shot, three seconds of `size`, alternately with all steps
    recorded and with one. What the trace holds of the finished shot is timed separately.
    """
    takes: list[ContextTake] = []
    for nth in range(shot - 1):
        request = request_shot(folder, nth, takes)
        takes.append(take_of(request, finish(ShotRenderer(model), request).latents))
    request = request_shot(folder, shot - 1, takes, size=size, fps=24.0)
    full, minimal = ShotRenderer(model), ShotRenderer(model, recorder=_OneStep)
    backbone = load_backbone(model)
    job = prepare(request, backbone)
    result = finish(full, request)
    trace, latents = read_trace(result.trace), load_file(result.latents)["latents"]
    finish(minimal, request)  # now both have loaded the model
    runs = [
        (
            _timed(lambda: finish(full, request)),
            _timed(lambda: finish(minimal, request)),
            _timed(lambda: finished_trace(trace, latents, job, backbone)),
        )
        for _ in range(repeats)
    ]
    return TracingTime(
        shot=shot,
        seconds=statistics.median(whole for whole, _, _ in runs),
        share=statistics.median((whole - without + finished) / whole for whole, without, finished in runs),
    )


def _timed(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return time.thread_time() - started
