"""The report about a toon model: recall in pixels and where attention lies, on held-out stories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from moc_engine.errors import ModelMismatch
from moc_engine.evaluation.measures.scores import Summary
from moc_engine.evaluation.toon.attention_heat import measure_heat
from moc_engine.evaluation.toon.toon_measure import Context, ToonParts, measure
from moc_engine.models.finding import find_model
from moc_engine.models.part_loading import load_part, load_settings
from moc_engine.models.wan.autoencoder import WanAutoencoder
from moc_engine.models.wan.caption_room import caption_states_of
from moc_engine.models.wan.defaults import trained_on
from moc_engine.render.latents_file import latents_file
from moc_engine.render.renderer import ShotRenderer
from moc_engine.sources.parts import PipelineParts
from moc_engine.training.toon.drawn_stories import DrawnStory, draw
from moc_engine.training.toon.toon_presets import PRESETS


@dataclass(frozen=True, kw_only=True)
class ToonQuestion:
    """What is measured: the first `stories` of the preset's, which are held out, and how films are made.

    `shots` is the length of the stories; longer ones than the preset's have the same looks.
    """

    preset: str
    context: Context
    top_k: int
    stories: int
    shots: int
    steps: int
    guidance: float
    heat_stories: int

    @classmethod
    def of_preset(
        cls,
        preset: str,
        *,
        context: Context = "drawn",
        top_k: int = 3,
        stories: int | None = None,
        shots: int | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        heat_stories: int = 4,
    ) -> ToonQuestion:
        """With the preset's own numbers where they are None."""
        plan = PRESETS[preset]()
        return cls(
            preset=preset,
            context=context,
            top_k=top_k,
            stories=min(plan.held_out, plan.measured_stories) if stories is None else stories,
            shots=plan.drawing.shots if shots is None else shots,
            steps=plan.steps if steps is None else steps,
            guidance=plan.guidance if guidance is None else guidance,
            heat_stories=heat_stories,
        )


@dataclass(frozen=True, kw_only=True)
class ToonReport:
    """Figures by how films are made and by metric, the share of pairs left out, and figures of attention."""

    figures: Mapping[str, Mapping[str, Summary]]
    pruned: Mapping[str, float]
    heat: Mapping[str, Summary]


def report(folder: Path, question: ToonQuestion, *, sheet: Path | None = None) -> ToonReport:
    """Measures the model in `folder`. Raises `ModelMismatch` for one that was not trained on toon stories."""
    plan = PRESETS[question.preset]()
    model = find_model(str(folder))
    told = trained_on(model.index)
    if told is None or (told.size, told.frames) != (plan.drawing.size, plan.drawing.frames):
        raise ModelMismatch(f"{folder} is no model of the preset {question.preset}")
    parts = load_parts(model)
    drawing = replace(plan.drawing, shots=question.shots)
    stories = [draw(drawing, number) for number in range(question.stories)]
    found = measure(
        parts,
        stories,
        fps=plan.drawing.fps,
        context=question.context,
        top_k=question.top_k,
        steps=question.steps,
        guidance=question.guidance,
        sheets=sheet,
    )
    space = WanAutoencoder(parts.vae, plan.drawing.fps).latent_space
    given: list[tuple[DrawnStory, list[bytes]]] = []
    for story in stories[: question.heat_stories]:
        latents = parts.batch([story], plan.drawing.fps).latents[0]
        given.append((story, [latents_file(shot, space) for shot in latents]))
    with TemporaryDirectory() as scratch:
        renderer = ShotRenderer(str(folder))
        heat = measure_heat(renderer, given, drawing, top_k=question.top_k, output=Path(scratch))
    return ToonReport(figures=found.figures, pruned=found.pruned, heat=heat.summaries())


def load_parts(model: PipelineParts, transformer: Any = None) -> ToonParts:
    """The parts of a toon model in float32, on the device of its `transformer` where that is given."""
    from diffusers import AutoencoderKLWan, WanTransformer3DModel
    from transformers import AutoTokenizer, UMT5EncoderModel

    if transformer is None:
        transformer = load_part(WanTransformer3DModel, model, "transformer", dtype=torch.float32)
    text_encoder = load_part(UMT5EncoderModel, model, "text_encoder", extra_weights=True, dtype=torch.float32)
    vae = load_part(AutoencoderKLWan, model, "vae", dtype=torch.float32)
    return ToonParts(
        transformer=transformer,
        vae=vae.to(transformer.device).eval(),
        text_encoder=text_encoder.to(transformer.device).eval(),
        tokenizer=load_settings(AutoTokenizer, model, "tokenizer"),
        caption_states=caption_states_of(model.index),
    )
