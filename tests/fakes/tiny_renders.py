"""Renders of a tiny model: what is asked for, and the story of a few short shots."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from moc_engine.config import SamplerChoice
from moc_engine.contract import (
    ContextTake,
    RenderEvent,
    RenderRequest,
    RenderResult,
)
from moc_engine.render.renderer import ShotRenderer
from moc_engine.stored_file import LocalFile

SIZE = (96, 54)
STEPS = 4


def request(output: Path, context: Sequence[ContextTake] = (), **changes: Any) -> RenderRequest:
    """A request for the shot after those of the context, changed as told."""
    shot = context[-1].shot + 1 if context else 0
    told: dict[str, Any] = {
        "shot": shot,
        "caption": "Mira walks right on the beach",
        "global_caption": "night",
        "cast": ("Mira", "Otto"),
        "seconds": 1.0,
        "fps": 4.0,
        "size": SIZE,
        "seed": shot,
        "output": output,
        "context": tuple(context),
        "sampler": SamplerChoice(steps=STEPS, guidance=1.5),
        "previews": 0,  # the scenery of random latents takes longer to paint than all the rest
    }
    return RenderRequest(**{**told, **changes})


def finish(
    renderer: ShotRenderer, wanted: RenderRequest, cancel: Any = None
) -> tuple[RenderResult, list[RenderEvent]]:
    """Renders it; the result, and the events on the way."""
    rendering = renderer.render(wanted, cancel)
    events = []
    while True:
        try:
            events.append(next(rendering))
        except StopIteration as stop:
            return stop.value, events


def rendered_story(renderer: ShotRenderer, folder: Path, shots: int) -> list[ContextTake]:
    """Takes of so many shots, each with those before it as its context."""
    context: list[ContextTake] = []
    for shot in range(shots):
        wanted = request(folder / str(shot), context, seconds=0.5 * (1 + shot % 2))
        result, _ = finish(renderer, wanted)
        context.append(
            ContextTake(
                id=f"take {shot}",
                shot=shot,
                latents=LocalFile(result.latents),
                caption=wanted.caption,
                global_caption=wanted.global_caption,
                cast=wanted.cast,
                seconds=wanted.seconds,
            )
        )
    return context
