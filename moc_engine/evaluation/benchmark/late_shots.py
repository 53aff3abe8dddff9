"""Late shots: denoising shot N of a film with all earlier shots in memory, compared with its shot 2.

The embedded model, at a small size of picture, which does not change what is denoised.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from moc_engine.contract import ContextTake, RenderRequest, StageEvent
from moc_engine.evaluation.benchmark.figures import ratios, spread
from moc_engine.render.renderer import ShotRenderer
from moc_engine.stored_file import LocalFile

EARLY: Final = 2
LATE: Final = (4, 8, 16, 32, 64, 128, 256)
TINY: Final = (4,)

RENDERED: Final = 8
"""Shots that are rendered; later ones of the film repeat their latents, each with a memory of its own."""

SECONDS: Final = 3.0


def measure_late_shots(
    folder: Path,
    *,
    model: Path | None = None,
    late: Sequence[int] = LATE,
    rendered: int = RENDERED,
    rounds: int = 7,
    seconds: float = 60.0,
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Renders the beginning of a film into `folder`, then denoises shot `EARLY` and each late one in turns.

    CPU times of this thread; the embedded model renders on one. Stops between shots after `seconds`.
    """
    started = time.monotonic()
    renderer = ShotRenderer(model)
    takes: list[ContextTake] = []
    for shot in range(rendered):
        takes.append(_take(shot, _denoise(renderer, folder, shot, takes)[1]))
    takes += [
        _take(shot, folder / str(shot % rendered) / "latents.safetensors")
        for shot in range(rendered, max(late))
    ]
    points: list[dict[str, Any]] = []
    for shot in late:
        if points and time.monotonic() - started > seconds:
            break
        _denoise(renderer, folder, shot - 1, takes)  # reads the memories of the new shots
        pairs = [
            (_denoise(renderer, folder, EARLY - 1, takes)[0], _denoise(renderer, folder, shot - 1, takes)[0])
            for _ in range(rounds)
        ]
        one, other = zip(*pairs, strict=True)
        point = {
            "shot": shot,
            "milliseconds": spread([1e3 * one_of for one_of in other]),
            "early_milliseconds": spread([1e3 * one_of for one_of in one]),
            "longer": ratios(other, one),
        }
        points.append(point)
        say(f"  shot {shot}: {spread(other)} s, {point['longer']} times shot {EARLY}")
    return {
        "part": "late",
        "early": EARLY,
        "clock": "thread",
        "seconds": time.monotonic() - started,
        "points": points,
    }


def request_shot(
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
        seconds=SECONDS,
        fps=fps,
        size=size,
        seed=shot,
        output=folder / str(shot),
        context=tuple(takes[:shot]),
    )


def take_of(request: RenderRequest, latents: Path) -> ContextTake:
    """What was rendered for a request, as the context of later shots."""
    return ContextTake(
        id=f"shot {request.shot}",
        shot=request.shot,
        latents=LocalFile(latents),
        caption=request.caption,
        global_caption=request.global_caption,
        cast=request.cast,
        seconds=request.seconds,
    )


def _take(shot: int, latents: Path) -> ContextTake:
    return take_of(request_shot(latents.parent, shot, ()), latents)


def _denoise(
    renderer: ShotRenderer, folder: Path, shot: int, takes: Sequence[ContextTake]
) -> tuple[float, Path]:
    """The CPU seconds that denoising took in the render of a shot, and its latents."""
    started = ended = 0.0
    work = renderer.render(request_shot(folder, shot, takes))
    while True:
        try:
            event = next(work)
        except StopIteration as stop:
            return ended - started, stop.value.latents
        if isinstance(event, StageEvent) and event.stage == "denoise":
            started = time.thread_time()
        elif isinstance(event, StageEvent) and event.stage == "decode":
            ended = time.thread_time()
