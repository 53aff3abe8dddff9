"""The memory of a toon model, read in the pixels of films of held-out stories.

drawn       the pictures as they were drawn: the ceiling of the measure
rebuilt     the same through the autoencoder
moc, dense, own   with routed chunks, with all earlier shots, with none
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import torch
from torch import Tensor

from moc_engine.evaluation.measures.scores import Scores, Summary
from moc_engine.evaluation.toon.pixel_recall import score
from moc_engine.evaluation.toon.story_films import MEMORIES, FilmSettings, after_drawn, from_captions
from moc_engine.models.wan.decoding import unnormalised
from moc_engine.training.toon.drawn_stories import DrawnStory, Pixels
from moc_engine.training.toon.picture_autoencoder import decode, frame_by_frame
from moc_engine.training.toon.story_cache import latents_of, states_of, training_story
from moc_engine.training.tuning.batch import TuningBatch, collate
from moc_engine.training.tuning.denoiser import TuningDenoiser

Context = Literal["drawn", "own"]
"""The earlier shots that a shot has: those that were drawn, or the film's own."""

AT_ONCE: Final = 8
"""Stories in one call of the denoiser."""


@dataclass(frozen=True, kw_only=True)
class ToonParts:
    """The parts of a toon model, on one device; captions are padded to `caption_states`."""

    transformer: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    caption_states: int

    def batch(self, stories: Sequence[DrawnStory], fps: float) -> TuningBatch:
        """Drawn stories as the denoiser reads them."""
        trained = [
            training_story(
                str(number),
                story,
                latents_of(self.vae, story.pictures).cpu(),
                [x.cpu() for x in states_of(self.tokenizer, self.text_encoder, story.captions)],
                fps,
            )
            for number, story in enumerate(stories)
        ]
        (nothing,) = states_of(self.tokenizer, self.text_encoder, [""])
        return collate(trained, nothing.cpu(), caption_states=self.caption_states).to(self.vae.device)

    @torch.no_grad()
    def pictures(self, latents_NCFHW: Tensor) -> Pixels:
        """The pictures (N, F, Y, X, 3) of the shots of a film."""
        shots, _, frames = latents_NCFHW.shape[:3]
        flat = torch.stack([unnormalised(self.vae, shot) for shot in latents_NCFHW]).transpose(1, 2)
        with frame_by_frame(self.vae):
            found = torch.cat([decode(self.vae, part) for part in flat.flatten(0, 1).split(64)])
        pixels = ((found.clamp(-1.0, 1.0) + 1.0) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
        return np.asarray(pixels.reshape(shots, frames, *pixels.shape[1:]), dtype=np.uint8)


@dataclass(frozen=True, kw_only=True)
class ToonMeasure:
    """The figures of each way to make the films, by metric, and the share of pairs that each leaves out."""

    figures: Mapping[str, Mapping[str, Summary]]
    pruned: Mapping[str, float]


def measure(
    parts: ToonParts,
    stories: Sequence[DrawnStory],
    *,
    fps: float,
    context: Context,
    top_k: int,
    steps: int,
    guidance: float,
    sheets: Path | None = None,
    told: Callable[[str], None] = lambda line: None,
) -> ToonMeasure:
    """Makes films of drawn stories and reads them; with `sheets`, pictures of the first films go there."""
    shots, frames = stories[0].pictures.shape[:2]
    ways: dict[str, FilmSettings] = {
        name: FilmSettings(memory=name, top_k=top_k, steps=steps, guidance=guidance) for name in MEMORIES
    }
    scores = {name: Scores() for name in ("drawn", "rebuilt", *ways)}
    rows: dict[str, list[Pixels]] = {name: [] for name in ("drawn", *ways)}
    denoiser = TuningDenoiser(parts.transformer.eval())
    number = 0
    for first in range(0, len(stories), AT_ONCE):
        group = stories[first : first + AT_ONCE]
        batch = parts.batch(group, fps)
        films = {name: _films(denoiser, batch, settings, context) for name, settings in ways.items()}
        for at, story in enumerate(group):
            made = {name: parts.pictures(latents[at]) for name, latents in films.items()}
            made |= {"drawn": story.pictures, "rebuilt": parts.pictures(batch.latents[at])}
            for name, pictures in made.items():
                scores[name].story = number
                score(
                    story,
                    pictures,
                    scores[name],
                    first_NFYX3=story.pictures if context == "drawn" else None,
                )
                if name in rows and number < 6:
                    rows[name].append(pictures)
            number += 1
        told(f"measured: {number} of {len(stories)} stories")
    if sheets is not None:
        write_sheet(sheets, rows)
    return ToonMeasure(
        figures={name: found.summaries() for name, found in scores.items()},
        pruned={name: settings.pruned(shots, frames) for name, settings in ways.items()},
    )


def _films(denoiser: TuningDenoiser, batch: TuningBatch, settings: FilmSettings, context: Context) -> Tensor:
    if context == "own":
        return from_captions(denoiser, batch, settings)
    return torch.cat((batch.latents[:, :1], after_drawn(denoiser, batch, settings)), dim=1)


def write_sheet(file: Path, rows: Mapping[str, Sequence[Pixels]]) -> None:
    """A picture of films below each other: of each story a row as drawn, and one for each way to make it."""
    from PIL import Image

    count = len(next(iter(rows.values())))
    lines = [np.concatenate(list(rows[name][story][:, 0]), axis=1) for story in range(count) for name in rows]
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(lines)).save(file)
