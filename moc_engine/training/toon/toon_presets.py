"""Presets of the toon model: what is drawn, and how autoencoder, text encoder and transformer are trained.

Training begins with stories of two characters (curriculum learning: Bengio et al., ICML 2009). Errors on
characters have more weight than those on the set, and tokens are to tell who is where.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from moc_engine.models.wan.defaults import TrainedOn
from moc_engine.training.toon.autoencoder_training import AutoencoderRecipe
from moc_engine.training.toon.drawn_stories import Drawing
from moc_engine.training.toon.model_folder import TransformerSize
from moc_engine.training.toon.picture_autoencoder import AutoencoderSize
from moc_engine.training.toon.text_distillation import TextRecipe
from moc_engine.training.toon.toon_world import ToonWorld
from moc_engine.training.tuning.recipe import SparsityStage, TuningRecipe

ALL_SETS: Final = ("beach", "forest", "city", "desert", "snow", "room", "moon", "meadow")


MAIN: Final = "main"
"""What the names of the stories begin with that a preset is about, in its cache."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """Simpler stories to begin with: `stories` of them are drawn, and a stage of the recipe names them."""

    name: str
    drawing: Drawing
    stories: int


@dataclass(frozen=True, kw_only=True)
class ToonPreset:
    """A way to train a toon model.

    `stories` are drawn, of which the first `held_out` are never trained on; the autoencoder learns from the
    pictures of the first `pictured` of the others. `transformer` is trained by `tuning`, whose stages take
    stories of the `lessons` and of the others, called `MAIN`. `steps`, `guidance` and `top_k` are those that
    films are rendered with.
    """

    drawing: Drawing
    stories: int
    held_out: int
    pictured: int
    autoencoder: AutoencoderRecipe
    texts: TextRecipe
    transformer: TransformerSize
    tuning: TuningRecipe
    lessons: tuple[Lesson, ...] = ()
    caption_states: int = 32
    steps: int = 12
    guidance: float = 1.0
    top_k: int = 3
    workers: int = 1
    piece_minutes: float | None = None
    device: str = ""
    evaluation_steps: int = 200
    measured_stories: int = 16

    @property
    def told(self) -> TrainedOn:
        """What the model's folder says of its training."""
        return TrainedOn(
            fps=self.drawing.fps,
            frames=self.drawing.frames,
            size=self.drawing.size,
            caption_states=self.caption_states,
            steps=self.steps,
            guidance=self.guidance,
            top_k=self.top_k,
        )


def _lessons(drawing: Drawing, stories: int) -> tuple[Lesson, ...]:
    """Stories of two characters, which teach to choose among memories."""
    world = replace(drawing.world, cast=(2, 2), together=0.0)
    two = replace(drawing, world=world, shots=6, seed=drawing.seed + 2)
    return (Lesson(name="two", drawing=two, stories=stories),)


def toon_cpu() -> ToonPreset:
    """For a CPU: small pictures of round characters near the camera, one frame a shot."""
    drawing = Drawing(world=ToonWorld(), shots=16, frames=1, fps=1.0, size=(64, 64), seed=7)
    return ToonPreset(
        drawing=drawing,
        lessons=_lessons(drawing, 1000),
        stories=316,
        held_out=16,
        pictured=300,
        autoencoder=AutoencoderRecipe(size=AutoencoderSize(base=12, channels=8), steps=800),
        texts=TextRecipe(steps=220, batch=32),
        transformer=TransformerSize(layers=4),
        tuning=TuningRecipe(
            kind="full",
            steps=1600,
            batch=16,
            shots=(4, 6),
            stages=(
                SparsityStage(until=0.75, top_k=None, shots=(3, 3), stories="two"),
                SparsityStage(until=0.85, top_k=None, stories=MAIN),
                SparsityStage(until=1.0, top_k=3, stories=MAIN),
            ),
            shift=8.0,
            emphasis=5.0,
            identity=0.1,
            learning_rate=2e-3,
            warm_up=40,
            cool_down=0.4,
            ema=0.99,
            precision="no",
            checkpointing=False,
            drop_in=0.0,
            pins=0.0,
            bans=0.0,
            gaps=0.3,
            memory_noise=0.0,
        ),
        device="cpu",
        evaluation_steps=400,
    )


def toon_gpu() -> ToonPreset:
    """For a GPU, in pieces of nine minutes: all sets, shapes, light and weather, up to three characters."""
    world = ToonWorld(
        cast=(2, 4),
        together=0.25,
        shapes=True,
        accessories=True,
        described_parts=("body", "shape"),
        sets=ALL_SETS,
        tinted=True,
        actions=("stand", "wave", "cheer", "look", "jump", "dance", "walk"),
        framings=("closeup", "medium"),
        times=("day", "day", "sunset", "night"),
    )
    drawing = Drawing(world=world, shots=8, frames=4, fps=4.0, size=(160, 96), seed=7)
    return ToonPreset(
        drawing=drawing,
        lessons=_lessons(drawing, 4000),
        stories=12_096,
        held_out=96,
        pictured=2000,
        autoencoder=AutoencoderRecipe(
            size=AutoencoderSize(base=32, channels=16), steps=6000, batch=64, learning_rate=1.5e-3, warmup=100
        ),
        texts=TextRecipe(layers=3, steps=2000, batch=128, learning_rate=2e-3),
        transformer=TransformerSize(layers=9, heads=5, head_width=64, feed_forward=4),
        tuning=TuningRecipe(
            kind="full",
            steps=24_000,
            batch=32,
            shots=(4, 8),
            denoised=4,
            stages=(
                SparsityStage(until=0.25, top_k=None, shots=(3, 4), stories="two"),
                SparsityStage(until=0.6, top_k=None, stories=MAIN),
                SparsityStage(until=0.75, top_k=8, stories=MAIN),
                SparsityStage(until=1.0, top_k=3, stories=MAIN),
            ),
            shift=8.0,
            emphasis=5.0,
            identity=0.1,
            learning_rate=6e-4,
            warm_up=400,
            cool_down=0.4,
            ema=0.999,
            precision="bf16",
            checkpointing=False,
            drop_in=0.0,
            pins=0.0,
            bans=0.0,
        ),
        caption_states=64,
        steps=20,
        guidance=1.5,
        workers=12,
        piece_minutes=9.0,
        evaluation_steps=1000,
        measured_stories=96,
    )


def toon_smoke() -> ToonPreset:
    """Seconds, to check that everything runs; the model learns nothing useful."""
    cpu = toon_cpu()
    drawing = replace(cpu.drawing, shots=4, frames=1, size=(48, 32))
    stages = (
        SparsityStage(until=0.5, top_k=None, shots=(3, 3), stories="two"),
        SparsityStage(until=1.0, top_k=3, stories=MAIN),
    )
    return replace(
        cpu,
        drawing=drawing,
        lessons=_lessons(drawing, 1),
        stories=4,
        held_out=2,
        pictured=2,
        autoencoder=AutoencoderRecipe(size=AutoencoderSize(base=4, channels=4), steps=2, batch=2),
        texts=TextRecipe(layers=1, steps=2, batch=2),
        transformer=TransformerSize(layers=2, heads=1, head_width=12),
        tuning=replace(cpu.tuning, steps=2, batch=1, shots=(3, 3), warm_up=1, stages=stages),
        steps=2,
        evaluation_steps=2,
        measured_stories=2,
    )


PRESETS: Final[dict[str, Callable[[], ToonPreset]]] = {
    "toon-cpu": toon_cpu,
    "toon-gpu": toon_gpu,
    "toon-smoke": toon_smoke,
}
"""Presets by name."""
