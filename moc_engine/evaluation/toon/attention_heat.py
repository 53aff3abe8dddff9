"""Where a toon model's attention to a character's earlier shots lies in the picture of a later one.

The shot is rendered as the studio renders it, the drawn shots before it being its context, and its trace read
as the page's inspector reads it: of each token, the share of attention that went to takes which show the
character.

`METRICS`: `heat_on_character` is the share of that attention paid by tokens in the character's box, `box` the
share of the picture that the box covers; `attention_to_its_takes` is the part of the attention to earlier
shots that goes to those with the character, `its_takes` their share of the chunks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.config import RoutingChoice
from moc_engine.contract import ContextTake, Renderer, RenderRequest, RenderResult, finish
from moc_engine.evaluation.measures.scores import Scores
from moc_engine.models.animatic.world import NAMES
from moc_engine.stored_file import LocalFile
from moc_engine.trace.record import RoutingTrace
from moc_engine.trace.trace_file import read_trace
from moc_engine.training.toon.drawn_stories import Drawing, DrawnStory

METRICS: Final = ("heat_on_character", "box", "attention_to_its_takes", "its_takes")


def asked_shot(story: DrawnStory) -> int | None:
    """The last shot of one character alone who was away meanwhile and whom the caption does not describe."""
    alone = [
        shot
        for shot, shown in enumerate(story.shown)
        if len(shown) == 1 and shown[0].recalled and (shown[0].absence or 0) > 1
    ]
    return alone[-1] if alone else None


def score_trace(story: DrawnStory, shot: int, trace: RoutingTrace, scores: Scores) -> None:
    """Adds where the attention of a rendered shot to its character's earlier takes lies."""
    (shown,) = story.shown[shot]
    with_it = {
        at for at, everyone in enumerate(story.shown[:shot]) if shown.cast in {s.cast for s in everyone}
    }
    history = [n for n, chunk in enumerate(trace.context) if chunk.kind == "history"]
    asked = [n for n in history if trace.context[n].shot in with_it]
    shares = trace.token_map()
    of_asked = shares[:, asked].sum(axis=1)
    scores.add("attention_to_its_takes", float(of_asked.sum() / shares[:, history].sum()))
    scores.add("its_takes", len(asked) / len(history))
    inside = _inside(story, shot, shown.slot, trace)
    if of_asked.any():
        scores.add("heat_on_character", float(of_asked[inside].sum() / of_asked.sum()))
        scores.add("box", float(inside.mean()))


def _inside(story: DrawnStory, shot: int, slot: int, trace: RoutingTrace) -> NDArray[np.bool_]:
    """Which tokens, frame by frame, lie in the drawn box of a slot."""
    assert trace.grid is not None
    height, width = trace.grid
    y, x = np.mgrid[0:height, 0:width]
    y, x = (y + 0.5) / height, (x + 0.5) / width
    frames = []
    for left, top, right, bottom in story.boxes[shot, slot].tolist():
        frames.append(((x >= left) & (x <= right) & (y >= top) & (y <= bottom)).ravel())
    return np.concatenate(frames)


def measure_heat(
    renderer: Renderer,
    stories: Sequence[tuple[DrawnStory, Sequence[bytes]]],
    drawing: Drawing,
    *,
    top_k: int,
    output: Path,
) -> Scores:
    """Renders one late shot of each story, whose drawn shots' latents files are given, and reads its trace.

    Clips and traces stay in `output`.
    """
    scores = Scores()
    for number, (story, latents) in enumerate(stories):
        shot = asked_shot(story)
        if shot is None:
            continue
        folder = output / f"story-{number}"
        folder.mkdir(parents=True, exist_ok=True)
        result = _rendered(renderer, story, shot, latents, drawing, top_k, folder)
        scores.story = number
        score_trace(story, shot, read_trace(result.trace), scores)
    return scores


def _rendered(
    renderer: Renderer,
    story: DrawnStory,
    shot: int,
    latents: Sequence[bytes],
    drawing: Drawing,
    top_k: int,
    folder: Path,
) -> RenderResult:
    takes = []
    for earlier in range(shot):
        file = folder / f"context-{earlier}.safetensors"
        file.write_bytes(latents[earlier])
        takes.append(
            ContextTake(
                id=f"drawn-{earlier}",
                shot=earlier,
                latents=LocalFile(file),
                caption=story.captions[earlier],
                global_caption="",
                cast=NAMES,
                seconds=drawing.seconds,
            )
        )
    return finish(
        renderer,
        RenderRequest(
            shot=shot,
            caption=story.captions[shot],
            global_caption="",
            cast=NAMES,
            seconds=drawing.seconds,
            fps=drawing.fps,
            size=drawing.size,
            seed=1,
            output=folder,
            context=tuple(takes),
            routing=RoutingChoice(top_k=top_k),
            previews=0,
        ),
    )
