"""Sample films of a run: the shots of a held-out story, rendered as the studio renders them."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image

from moc_engine.config import RoutingChoice, SamplerChoice
from moc_engine.contract import ContextTake, FilmstripFormat, RenderRequest, finish
from moc_engine.contract import Renderer as Rendering
from moc_engine.files import atomic_folder, scratch_folder
from moc_engine.models.part_configs import part_config
from moc_engine.render.renderer import ShotRenderer
from moc_engine.stored_file import LocalFile
from moc_engine.training.data.footage.dataset import TrainingStory
from moc_engine.training.tuning.batch import window
from moc_engine.training.tuning.running_model import running_model

if TYPE_CHECKING:
    from moc_engine.training.tuning.subject import TuningSubject

DENSE: Final = 2**31
"""More tokens than a shot can attend to: below so many it attends to all of its context."""

SHEET: Final = FilmstripFormat(count=4, height=128)
"""A row of the contact sheet."""


SHOTS: Final = 6
"""The first shots of a story, which are rendered."""


def sample_film(subject: TuningSubject, folder: Path, *, steps: int, keep: bool) -> None:
    """Renders the first shots of a held-out story into a folder: shot-1.mp4 … and contact-sheet.jpg.

    With the subject's weights as they are, in so many denoising steps; each shot attends to those before it
    by the routing that the recipe ends with. Nothing stays without `keep`, as for a process that takes part
    for its share of the weights.
    """
    story = window(subject.stories.held_out[0], 0, SHOTS)
    loading = running_model(subject.model, subject.part, subject.transformer, subject.device)
    renderer = ShotRenderer(subject.model.source, device=str(subject.device), load=loading)
    first = first_request(subject, story, steps)
    if keep:
        with atomic_folder(folder) as part:
            render_story(renderer, story, part, first)
    else:
        with scratch_folder(folder.parent) as scratch:
            render_story(renderer, story, scratch, first)


def first_request(subject: TuningSubject, story: TrainingStory, steps: int) -> RenderRequest:
    """What is asked of the renderer for a story's first shot, with the routing that the recipe ends with."""
    height, width = story.shots[0].latents.shape[2:]
    pixels = int(part_config(subject.model, "vae").get("scale_factor_spatial", 8))
    last = subject.last_routing
    return RenderRequest(
        shot=0,
        caption="",
        global_caption=story.style,
        cast=(),
        seconds=1.0,
        fps=subject.rate,
        size=(width * pixels, height * pixels),
        seed=subject.recipe.seed,
        output=Path(),
        routing=RoutingChoice(full_below=DENSE)
        if last is None
        else RoutingChoice(top_k=last.top_k, chunking=last.chunking, pooling=last.pooling),
        sampler=SamplerChoice(steps=steps),
        filmstrip=SHEET,
        previews=0,
    )


def render_story(renderer: Rendering, story: TrainingStory, folder: Path, like: RenderRequest) -> None:
    """Renders the shots of a story into a folder with the settings of `like`."""
    takes: list[ContextTake] = []
    strips: list[Path] = []
    for number, shot in enumerate(story.shots):
        scratch = folder / f"take-{number + 1}"
        scratch.mkdir()
        request = replace(
            like,
            shot=number,
            caption=shot.caption,
            seconds=shot.seconds,
            seed=like.seed + number,
            output=scratch,
            context=tuple(takes),
        )
        result = finish(renderer, request)
        assert result.filmstrip is not None
        strips.append(result.filmstrip)
        result.clip.rename(folder / f"shot-{number + 1}.mp4")
        takes.append(
            ContextTake(
                id=f"sample-{number + 1}",
                shot=number,
                latents=LocalFile(result.latents),
                caption=shot.caption,
                global_caption=story.style,
                cast=(),
                seconds=shot.seconds,
            )
        )
    _contact_sheet(strips, folder / "contact-sheet.jpg")
    for number in range(1, len(takes) + 1):
        shutil.rmtree(folder / f"take-{number}")


def _contact_sheet(strips: Sequence[Path], file: Path) -> None:
    """The filmstrips of the shots, one below the other."""
    rows = []
    for strip in strips:
        with Image.open(strip) as picture:
            rows.append(np.asarray(picture.convert("RGB")))
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0))) for row in rows]
    Image.fromarray(np.concatenate(padded)).save(file, quality=90)
