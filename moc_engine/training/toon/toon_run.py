"""Trains a toon model from nothing, in pieces: each part that is done is kept, and the next one goes on.

OUT/stories/       drawn stories, with the truth
OUT/lessons/       simpler ones to begin with, in a folder for each lesson
OUT/texts/         tokenizer and text encoder
OUT/autoencoder.pt the autoencoder's checkpoint
OUT/start/         the model's folder with an untrained transformer
OUT/footage/       the cache: latents and caption states
OUT/tuning/        the run of the trainer; OUT/tuning/model is the result
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from moc_engine.files import atomic_folder
from moc_engine.machine import best_device
from moc_engine.models.finding import find_model
from moc_engine.models.part_digest import content_digest
from moc_engine.models.progress_bars import no_progress_bars
from moc_engine.training.options import CHECKPOINT
from moc_engine.training.toon.autoencoder_training import AutoencoderTraining
from moc_engine.training.toon.drawn_stories import Pixels, draw_stories, read_drawn, story_file
from moc_engine.training.toon.model_folder import build_transformer, save_model
from moc_engine.training.toon.story_cache import cache_stories
from moc_engine.training.toon.toon_presets import MAIN, PRESETS, Lesson
from moc_engine.training.tuning.held_out_evaluator import TuningEvaluator
from moc_engine.training.tuning.plan import RunSettings, TuningPlan, read_plan, write_plan
from moc_engine.training.tuning.start import start

Told = Callable[[str], None]

REPORT_EVERY: Final = 10.0
"""Seconds between two lines about the progress."""


class ToonRun:
    """A run of the preset of this name in the folder `out`; `told` hears about its progress.

    `minutes` ends a piece (None: those of the preset); the same call goes on from there.
    """

    def __init__(
        self,
        preset: str,
        out: Path,
        *,
        minutes: float | None = None,
        told: Told = lambda line: None,
        evaluators: Sequence[TuningEvaluator] = (),
    ) -> None:
        self.name, self.plan, self.out = preset, PRESETS[preset](), out
        minutes = self.plan.piece_minutes if minutes is None else minutes
        self.until = np.inf if minutes is None else time.monotonic() + 60 * minutes
        self.told = told
        self.evaluators = evaluators
        on_cpu = self.plan.device == "cpu"
        self.device = torch.device("cpu") if on_cpu else torch.device(best_device())
        self._reported = 0.0

    @property
    def model(self) -> Path:
        """The folder of the trained model."""
        return self.out / "tuning" / "model"

    def go(self) -> bool:
        """Trains until all is done, or the piece ends; returns whether all is done."""
        for work in (self._draw, self._texts, self._autoencoder, self._start, self._cache):
            work()
            if time.monotonic() > self.until:
                self.told("the piece has ended; the same command goes on")
                return False
        return self._tune()

    def _draw(self) -> None:
        parts = [(self.plan.drawing, self.out / "stories", self.plan.stories)]
        parts += [(lesson.drawing, self._lesson(lesson), lesson.stories) for lesson in self.plan.lessons]
        for drawing, folder, stories in parts:
            folder.mkdir(parents=True, exist_ok=True)
            numbers = range(stories)
            for done, _ in enumerate(
                draw_stories(drawing, numbers, folder, workers=self.plan.workers), start=1
            ):
                self._report(f"drawn: {done} of {stories} stories in {folder.relative_to(self.out)}")
                if time.monotonic() > self.until:
                    return

    def _lesson(self, lesson: Lesson) -> Path:
        """The folder of its drawn stories."""
        return self.out / "lessons" / lesson.name

    def _texts(self) -> None:
        folder = self.out / "texts"
        if folder.exists():
            return
        from moc_engine.model_index import EMBEDDED
        from moc_engine.models.animatic.model import load
        from moc_engine.training.toon.text_distillation import distil

        embedded = load(EMBEDDED)
        tokenizer, encoder = distil(
            self.plan.texts,
            embedded.tokenizer,
            embedded.text_encoder,
            told=lambda step, error: self._report(f"text encoder: step {step}, unexplained {error:.3f}"),
        )
        with atomic_folder(folder) as part, no_progress_bars():
            tokenizer.save_pretrained(part / "tokenizer")
            encoder.save_pretrained(part / "text_encoder")

    def _autoencoder(self) -> None:
        if (self.out / "start").exists():
            return
        training = self._autoencoder_training()
        if not training.done:
            training.run(
                until=self.until,
                told=lambda step, error: self._report(f"autoencoder: step {step}, error {error:.4f}"),
            )
        if training.done:
            held_out = training.error(self._pictures(range(self.plan.held_out)))
            self.told(f"autoencoder: mean absolute error {held_out:.4f} on held-out pictures within -1 and 1")

    def _autoencoder_training(self) -> AutoencoderTraining:
        first = self.plan.held_out
        pictures = self._pictures(range(first, first + self.plan.pictured))
        return AutoencoderTraining(self.plan.autoencoder, pictures, self.out, device=self.device)

    def _pictures(self, numbers: Sequence[int]) -> Pixels:
        stories = [read_drawn(story_file(self.out / "stories", number)).pictures for number in numbers]
        return np.concatenate([pictures.reshape(-1, *pictures.shape[2:]) for pictures in stories])

    def _start(self) -> None:
        folder = self.out / "start"
        if folder.exists():
            return
        training = self._autoencoder_training()
        if not training.done:
            return
        parts = self._text_parts()
        torch.manual_seed(self.plan.tuning.seed)
        vae = training.vae.float().cpu()
        transformer = build_transformer(
            self.plan.transformer,
            channels=self.plan.autoencoder.size.channels,
            text_width=parts["text_encoder"].config.d_model,
        )
        with atomic_folder(folder) as part:
            save_model(part, {**parts, "vae": vae, "transformer": transformer}, self.plan.told)

    def _text_parts(self) -> dict[str, Any]:
        from transformers import AutoTokenizer, UMT5EncoderModel

        folder = self.out / "texts"
        with no_progress_bars():
            return {
                "tokenizer": AutoTokenizer.from_pretrained(folder / "tokenizer"),
                "text_encoder": UMT5EncoderModel.from_pretrained(folder / "text_encoder").eval(),
            }

    def _cache(self) -> None:
        if not (self.out / "start").exists():
            return
        from diffusers import AutoencoderKLWan

        model = find_model(self.out / "start")
        parts = self._text_parts()
        parts["vae"] = AutoencoderKLWan.from_pretrained(self.out / "start" / "vae").to(self.device).eval()
        identity = content_digest(model.part("text_encoder"), model.part("tokenizer"))
        groups = [(lesson.name, self._lesson(lesson), range(lesson.stories)) for lesson in self.plan.lessons]
        groups.append((MAIN, self.out / "stories", range(self.plan.held_out, self.plan.stories)))
        for name, folder, numbers in groups:
            cached = cache_stories(
                self.out / "footage",
                folder,
                numbers,
                parts,
                text_encoder=identity,
                fps=self.plan.drawing.fps,
                prefix=f"{name} ",
            )
            for done, _ in enumerate(cached, start=1):
                self._report(f"cached: {done} of {len(numbers)} stories of {name}")
                if time.monotonic() > self.until:
                    return

    def _tune(self) -> bool:
        folder = self.out / "tuning"
        resume = (folder / CHECKPOINT).exists()
        plan = read_plan(folder) if resume else self._tuning_plan()
        minutes = None if np.isinf(self.until) else max(0.0, self.until - time.monotonic()) / 60
        plan = replace(plan, settings=replace(plan.settings, minutes=minutes))
        write_plan(folder, plan)
        start(plan, folder, resume=resume, evaluators=self.evaluators)
        return time.monotonic() < self.until

    def _tuning_plan(self) -> TuningPlan:
        return TuningPlan(
            model=str(self.out / "start"),
            data=self.out / "footage",
            preset=self.name,
            recipe=self.plan.tuning,
            held_out=2,
            settings=RunSettings(
                device=self.plan.device, evaluation_steps=self.plan.evaluation_steps, sample_minutes=0.0
            ),
        )

    def _report(self, line: str) -> None:
        """Tells at most every few seconds."""
        if time.monotonic() - self._reported > REPORT_EVERY:
            self._reported = time.monotonic()
            self.told(line)
