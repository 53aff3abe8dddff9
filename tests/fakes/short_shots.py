"""Requests of short shots, and what comes of them: latents, and takes that later shots remember."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from moc_engine.config import SamplerChoice
from moc_engine.contract import ContextTake, RenderRequest, RenderResult
from moc_engine.stored_file import LocalFile


def short_shot(output: Path, **changes: Any) -> RenderRequest:
    """A shot of 3 frames at 32 × 32, in two guided steps; `changes` replace fields."""
    plain = RenderRequest(
        previews=0,
        shot=0,
        caption="a fox runs",
        global_caption="dawn",
        cast=(),
        seconds=0.3,
        fps=10,
        size=(32, 32),
        seed=1,
        output=output,
        sampler=SamplerChoice(steps=2, guidance=3.0),
    )
    return replace(plain, **changes)


def take_of(request: RenderRequest, result: RenderResult) -> ContextTake:
    """The take that a request came to, as the context of a later shot."""
    return ContextTake(
        id="a",
        shot=request.shot,
        latents=LocalFile(result.latents),
        caption=request.caption,
        global_caption=request.global_caption,
        cast=request.cast,
        seconds=request.seconds,
    )


def latents_of(result: RenderResult) -> Tensor:
    """The latents (C, F, H, W) of a shot."""
    return load_file(result.latents)["latents"]
