"""Members of a group that renders together: real ones, and ones that exchange a number at each step."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator
from pathlib import Path

import torch
import torch.distributed as dist

from moc_engine.contract import CancelToken, RenderEvent, RenderRequest, RenderResult, StageEvent, StepEvent
from moc_engine.errors import EngineError, RenderCancelled
from moc_engine.render.render_group import RenderGroup
from moc_engine.render.renderer import ShotRenderer

STEPS = 40


def shot_renderer(folder: Path, group: RenderGroup) -> ShotRenderer:
    """Renders by a model's folder, on one thread."""
    torch.set_num_threads(1)
    return ShotRenderer(folder, group=group)


class ExchangingMember:
    """Renders no picture: each step waits for all processes. Captions say what goes wrong, and where."""

    def __init__(self, group: RenderGroup) -> None:
        self._group = group

    def render_part(
        self, request: RenderRequest, cancel: CancelToken | None
    ) -> Generator[RenderEvent, None, RenderResult | None]:
        what, _, rank = request.caption.partition(" in ")
        yield StageEvent(stage="denoise")
        agreed = self._group.agreed(cancel)
        for step in range(STEPS if what != "all is well" else 1):
            if agreed.is_set():
                raise RenderCancelled("the render was cancelled")
            dist.all_reduce(torch.ones(()))
            yield StepEvent(stage="denoise", step=step + 1, steps=STEPS, seconds_left=None)
            time.sleep(0.05)
            if rank == str(self._group.split.rank) and step == 1:
                _go_wrong(what)
        if not self._group.leads:
            return None
        return RenderResult(
            clip=request.output / "clip.mp4",
            latents=request.output / "latents.safetensors",
            trace=request.output / "trace.moc",
            frames=os.getpid(),
            backend="none",
            device="cpu",
            dtype="float32",
            timings={},
        )


def _go_wrong(what: str) -> None:
    match what:
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(7)
        case "error":
            raise EngineError("the memory of a take cannot be read")
        case "bug":
            raise _Unsendable(1, 2)


class _Unsendable(Exception):
    """As some errors of libraries: it cannot be made again from its message."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__("a bug")
