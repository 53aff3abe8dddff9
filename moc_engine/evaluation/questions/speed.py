"""Speed: painting frames, attention compared with dense attention, and the cost of late shots and traces.

Times are CPU times of this thread, since machines are shared; what is compared is measured alternately in one
process. Attention is timed only after its result has been checked against the naive backend.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.config import RoutingConfig
from moc_engine.contract import ContextTake, RenderRequest, StageEvent, finish
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
from moc_engine.ops.layout import by_length
from moc_engine.ops.moc_attention import moc_attention
from moc_engine.ops.routing import route
from moc_engine.render.prepare import prepare
from moc_engine.render.renderer import ShotRenderer
from moc_engine.render.tracing import finished_trace
from moc_engine.stored_file import LocalFile
from moc_engine.trace.record import RoutingTrace
from moc_engine.trace.recorder import TraceRecorder

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
class AttentionTime:
    """MoC including routing, compared with dense attention over the same history, on one thread.

    `pairs` is how many times fewer query-key pairs are attended to, `faster` the ratio of times, and
    `efficiency` their quotient: at most 1 for a sparse pass.
    """

    context: int
    queries: int
    pairs: float
    faster: float

    @property
    def efficiency(self) -> float:
        return self.faster / self.pairs


@dataclass(frozen=True, kw_only=True)
class LateShot:
    """CPU seconds to denoise an early and a late shot of a story, and the median of their ratios."""

    early: int
    late: int
    early_seconds: float
    late_seconds: float
    ratio: float


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


def time_attention(
    *, context: int = 32_768, queries: int = 4096, heads: int = 2, width: int = 64, repeats: int = 3
) -> AttentionTime:
    """Chunks of 256, top-k 5, forward. Raises `AssertionError` if the backends disagree."""
    layout = by_length([queries] * (context // queries + 1), 256)
    shot, routing = context // queries, RoutingConfig(top_k=5)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        generator = torch.Generator().manual_seed(0)
        q, k, v = (
            torch.randn(1, heads, length, width, generator=generator)
            for length in (queries, layout.tokens, layout.tokens)
        )
        with torch.no_grad():
            _check_backends()

            def routed() -> object:
                return moc_attention(q, k, v, layout, route(q, k, layout, shot, routing))

            def dense() -> object:
                return scaled_dot_product_attention(q, k, v)

            ratios = [_timed(dense) / _timed(routed) for _ in range(repeats + 1)][1:]
    finally:
        torch.set_num_threads(threads)
    pairs = layout.tokens / (queries + 5 * 256)
    return AttentionTime(context=context, queries=queries, pairs=pairs, faster=statistics.median(ratios))


def _check_backends() -> None:
    """Compares the default backend with the naive one, on a story small enough for its mask."""
    layout = by_length([512] * 5, 64)
    generator = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(1, 2, length, 64, generator=generator) for length in (512, 2560, 2560))
    selection = route(q, k, layout, 4, RoutingConfig(top_k=5))
    fast, naive = (moc_attention(q, k, v, layout, selection, backend=name) for name in ("auto", "naive"))
    assert torch.allclose(fast, naive, atol=1e-5)


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
        request = _request(folder, nth, takes)
        takes.append(_take(request, finish(ShotRenderer(model), request).latents))
    request = _request(folder, shot - 1, takes, size=size, fps=24.0)
    full, minimal = ShotRenderer(model), ShotRenderer(model, recorder=_OneStep)
    backbone = load_backbone(model)
    job = prepare(request, backbone)
    result = finish(full, request)
    trace, latents = RoutingTrace.load(result.trace), load_file(result.latents)["latents"]
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


def _request(
    folder: Path,
    shot: int,
    takes: Sequence[ContextTake],
    *,
    size: tuple[int, int] = (96, 54),
    fps: float = 1.0,
) -> RenderRequest:
    """A shot of three seconds with the takes of all earlier shots as context."""
    return RenderRequest(
        shot=shot,
        caption="Mira walks right on the beach",
        global_caption="",
        cast=("Mira",),
        seconds=3.0,
        fps=fps,
        size=size,
        seed=shot,
        output=folder / str(shot),
        context=tuple(takes[:shot]),
    )


def time_late_shot(
    folder: Path, *, model: Path | None = None, early: int = 2, late: int = 32, repeats: int = 9
) -> LateShot:
    """Renders a story of three-second shots into `folder`, then denoises two of them alternately."""
    renderer = ShotRenderer(model)
    takes: list[ContextTake] = []

    def denoise(shot: int) -> float:
        started = ended = 0.0
        request = _request(folder, shot, takes)
        work = renderer.render(request)
        while True:
            try:
                event = next(work)
            except StopIteration as stop:
                if shot == len(takes):
                    takes.append(_take(request, stop.value.latents))
                return ended - started
            if isinstance(event, StageEvent) and event.stage == "denoise":
                started = time.thread_time()
            elif isinstance(event, StageEvent) and event.stage == "decode":
                ended = time.thread_time()

    for shot in range(late):
        denoise(shot)
    pairs = [(denoise(early - 1), denoise(late - 1)) for _ in range(repeats)]
    return LateShot(
        early=early,
        late=late,
        early_seconds=statistics.median(one for one, _ in pairs),
        late_seconds=statistics.median(other for _, other in pairs),
        ratio=statistics.median(other / one for one, other in pairs),
    )


def _take(request: RenderRequest, latents: Path) -> ContextTake:
    return ContextTake(
        id=f"shot {request.shot}",
        shot=request.shot,
        latents=LocalFile(latents),
        caption=request.caption,
        global_caption=request.global_caption,
        cast=request.cast,
        seconds=request.seconds,
    )


def _timed(work: Callable[[], object]) -> float:
    started = time.thread_time()
    work()
    return time.thread_time() - started
