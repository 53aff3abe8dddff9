"""Recipes: all settings of a training run, as presets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from moc_engine.config import RoutingConfig
from moc_engine.models.animatic.model import ModelConfig
from moc_engine.training.options import TrainingOptions
from moc_engine.training.schedule import Stage

Precision = Literal["no", "bf16"]

ROUTER_RATE: Final = 1e-2
"""The learning rate of a router's own parameters, that of VORTA's authors."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of a run.

    `caption_dropout` is the share of shots that are denoised without captions, for guidance. `pins` and
    `bans` are the probabilities that an earlier shot is pinned to, or banned from, a shot's context. `gaps`
    is the probability that a story's shots are far apart in time, as after long absences. The model is
    evaluated on a few held-out stories during the run. After `piece_minutes` the run pauses, to be resumed.
    `on_cpu` uses no GPU. `without` names the techniques that were left out. `router` is one of
    `TRAINED_ROUTERS`.
    """

    name: str
    model: ModelConfig = field(default_factory=ModelConfig)
    routing: RoutingConfig = field(default_factory=lambda: RoutingConfig(drop_off=0.7, drop_in=0.5))
    stages: tuple[Stage, ...]
    steps: int
    learning_rate: float
    warm_up: int = 200
    cool_down: float = 0.25
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    caption_dropout: float = 0.12
    memory_noise: float = 0.1
    pins: float = 0.04
    bans: float = 0.06
    gaps: float = 0.3
    precision: Precision = "bf16"
    workers: int = 1
    seed: int = 1
    on_cpu: bool = False
    checkpoint_minutes: float = 3.0
    evaluation_minutes: float = 5.0
    evaluation_stories: int = 12
    evaluation_shots: int = 6
    evaluation_steps: int = 8
    piece_minutes: float | None = None
    without: tuple[str, ...] = ()
    router: str = "moc"


def cpu() -> Recipe:
    """About an hour and a half on two cores: short stories first, then longer ones with larger casts."""
    return Recipe(
        name="cpu",
        on_cpu=True,
        stages=_stages(tokens=1152),
        steps=3300,
        learning_rate=1e-3,
    )


def refine() -> Recipe:
    """Two to three hours on two cores, from a trained model: sparse throughout, longer and longer stories."""
    stages = (
        Stage(until=0.4, shots=(3, 5), frames=(1, 4), cast=(2, 5), tokens=1152, top_k=3),
        Stage(until=0.75, shots=(4, 8), frames=(2, 10), cast=(2, 6), tokens=1152, top_k=3),
        Stage(until=0.85, shots=(5, 16), frames=(2, 8), cast=(3, 8), tokens=1152, top_k=3),
        Stage(until=1.0, shots=(8, 24), frames=(1, 4), cast=(3, 8), tokens=1152, top_k=3),
    )
    return Recipe(name="refine", on_cpu=True, stages=stages, steps=5600, learning_rate=1e-3, seed=2)


def gpu() -> Recipe:
    """For a GPU, in pieces of nine minutes, each resumed until all steps are done."""
    return Recipe(
        name="gpu",
        stages=_stages(tokens=24576),
        steps=24000,
        learning_rate=1.5e-3,
        warm_up=500,
        ema=0.9995,
        workers=12,
        piece_minutes=9.0,
    )


def trial() -> Recipe:
    """About twenty minutes on two cores: a small model with memory, for comparing training techniques.

    It starts with many very short stories per step, from which names and looks are learnt fastest.
    """
    stages = (
        Stage(until=0.4, shots=(3, 3), frames=(1, 1), cast=(2, 2), tokens=1152, top_k=None),
        Stage(until=0.6, shots=(3, 4), frames=(1, 2), cast=(2, 3), tokens=1152, top_k=8),
        Stage(until=0.8, shots=(3, 5), frames=(1, 4), cast=(2, 4), tokens=1152, top_k=5),
        Stage(until=1.0, shots=(4, 6), frames=(2, 6), cast=(3, 4), tokens=1152, top_k=3),
    )
    return Recipe(
        name="trial",
        on_cpu=True,
        model=ModelConfig(layers=4, heads=4, text_layers=2, text_width=128, text_heads=4, smoother_width=48),
        stages=stages,
        steps=1500,
        learning_rate=3e-3,
        warm_up=100,
    )


def smoke() -> Recipe:
    """A few seconds, to check that everything runs; the model learns nothing useful."""
    return Recipe(
        name="smoke",
        model=ModelConfig(layers=2, heads=2, head_width=16, text_layers=1, text_width=32, text_heads=2),
        stages=_stages(tokens=64),
        steps=12,
        learning_rate=1e-3,
        warm_up=2,
        workers=0,
        precision="no",
        evaluation_stories=2,
        evaluation_shots=2,
    )


RECIPES = {"cpu": cpu, "refine": refine, "gpu": gpu, "trial": trial, "smoke": smoke}


def recipe(options: TrainingOptions) -> Recipe:
    """The recipe of the preset, changed by the options."""
    plan = replace(RECIPES[options.preset](), router=options.router)
    if options.router in _ROUTED:
        plan = _ROUTED[options.router](plan)
    if options.steps is not None:
        plan = replace(plan, steps=options.steps)
    if options.minutes is not None:
        plan = replace(plan, piece_minutes=options.minutes)
    for technique in options.without:
        plan = _WITHOUT[technique](plan)
    return replace(plan, without=options.without)


def _dense(plan: Recipe) -> Recipe:
    """The recipe with attention to all candidates throughout."""
    return replace(plan, stages=tuple(replace(stage, top_k=None) for stage in plan.stages))


def _sparse(plan: Recipe) -> Recipe:
    """The recipe with the sparsity of its last stage from the start."""
    last = plan.stages[-1].top_k
    return replace(plan, stages=tuple(replace(stage, top_k=last) for stage in plan.stages))


_ROUTED: dict[str, Callable[[Recipe], Recipe]] = {"dense": _dense, "own": _dense, "vorta": _sparse}

_WITHOUT: dict[str, Callable[[Recipe], Recipe]] = {
    "gradual": _sparse,
    "drop": lambda plan: replace(plan, routing=replace(plan.routing, drop_off=0.0, drop_in=0.0)),
    "steering": lambda plan: replace(plan, pins=0.0, bans=0.0),
}


def _stages(tokens: int) -> tuple[Stage, ...]:
    """Dense on short stories first, then fewer and fewer chunks on longer and longer ones."""
    return (
        Stage(until=0.25, shots=(3, 4), frames=(2, 3), cast=(2, 3), tokens=tokens, top_k=None),
        Stage(until=0.4, shots=(3, 5), frames=(2, 4), cast=(2, 4), tokens=tokens, top_k=8),
        Stage(until=0.6, shots=(4, 6), frames=(2, 6), cast=(2, 5), tokens=tokens, top_k=5),
        Stage(until=0.8, shots=(4, 8), frames=(2, 6), cast=(2, 6), tokens=tokens, top_k=3),
        Stage(until=1.0, shots=(4, 10), frames=(2, 12), cast=(3, 8), tokens=tokens, top_k=3),
    )
