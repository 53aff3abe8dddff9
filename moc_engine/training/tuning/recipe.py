"""The recipe of tuning a video model with Mixture of Contexts: all settings of a run. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from moc_engine.config import Backend, Chunking, MemoryConfig, Pooling, RoutingConfig
from moc_engine.training.schedule import stage_at

Kind = Literal["lora", "full"]
"""What is trained: the low-rank factors of a LoRA beside frozen weights, or all weights."""

Expert = Literal["", "high", "low"]
"""Which transformer of a model of two experts is trained; "" for the one of a model that has one."""

Levels = Literal["logit-normal", "uniform"]
Precision = Literal["no", "bf16"]
Optimizer = Literal["adamw", "adamw8bit"]

ATTENTION: Final = ("to_q", "to_k", "to_v", "to_out.0")
"""The projections of self-attention and of attention to captions, by diffusers' names."""

FEED_FORWARD: Final = ("ffn.net.0.proj", "ffn.net.2")


def _check_count(name: str, value: object, *, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name}: must be a whole number of {least} or more, got {value!r}")


def _check_share(name: str, value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{name}: must be within 0–1, got {value!r}")


def _check_range(name: str, counts: tuple[int, ...]) -> None:
    if len(counts) != 2:
        raise ValueError(f"{name}: the fewest and the most of a story, got {counts!r}")
    for count in counts:
        _check_count(name, count, least=1)
    fewest, most = counts
    if fewest > most:
        raise ValueError(f"{name}: the fewest must not be above the most, got {counts!r}")


def _listed(choices: Sequence[object]) -> str:
    return ", ".join(repr(choice) for choice in choices if choice is not None)


@dataclass(frozen=True, kw_only=True)
class SparsityStage:
    """A part of the run, up to the share `until` (0–1) of all steps.

    `top_k` chunks of earlier shots are routed per query; None: all are attended to (dense). Steps take as
    many shots as drawn within `shots` (None: those of the recipe), of the stories whose names begin with
    `stories`.
    """

    until: float
    top_k: int | None
    shots: tuple[int, int] | None = None
    stories: str = ""

    def __post_init__(self) -> None:
        if self.shots is not None:
            object.__setattr__(self, "shots", tuple(self.shots))
            _check_range("shots", self.shots)
        if not 0.0 < self.until <= 1.0:
            raise ValueError(f"until: must be above 0 and at most 1, got {self.until!r}")
        if self.top_k is not None:
            _check_count("top_k", self.top_k, least=0)


DENSE_TO_SPARSE: Final = (
    SparsityStage(until=0.2, top_k=None),
    SparsityStage(until=0.4, top_k=16),
    SparsityStage(until=0.6, top_k=8),
    SparsityStage(until=1.0, top_k=5),
)
"""Gradual sparsification (MoC, arXiv 2508.21058): its thresholds are not published, k = 5 at the end is."""


@dataclass(frozen=True, kw_only=True)
class TuningRecipe:
    """The settings of a run. Raises `ValueError` that begins with the name of the field.

    Shots choose among the chunks of earlier ones that the `memory_policy` remembers, of `keyframes` frames
    where it counts them; by default all. Renders of the model remember 8 keyframes of a take unless they are
    told otherwise (`MEMORY` of `models.wan.defaults`).

    A LoRA has the `rank` and scale `alpha` / `rank`, on the linear layers whose names end with `targets`.
    Each step trains on `batch` stories per process and on `accumulation` such batches, of as many shots each
    as drawn within `shots`, of which `denoised` are noisy (None: all) and the others clean context. `stages`
    say how many chunks are routed when, and may have stories and numbers of shots of their own. `chunking`
    and `pooling` are the model's own where None.

    `drop_off` and `drop_in` perturb the routed choice (`RoutingConfig`). `pins` and `bans` are the
    probabilities that an earlier shot is pinned to, or banned from, a shot's context; `gaps` is the
    probability that the shots of a batch lie far apart in time, as after long absences. Memories are read at
    a noise level up to `memory_noise`. A share `caption_dropout` of the noisy shots is denoised without
    captions, for guidance. Noise levels are drawn by `levels` and shifted by `shift` (None: the model's own).
    Errors count 1 + `emphasis` times as much where the cache has an emphasis. `identity` is the weight of a
    loss that tells who is where, as far as the cache does, from tokens in the middle of the transformer.

    The learning rate rises over `warm_up` steps and falls over the last share `cool_down`. Gradients are
    clipped to a norm of `clip`. `ema` is the decay of averaged weights; 0 is none. `checkpointing` computes
    the blocks again in the backward pass, to save memory.
    """

    kind: Kind = "lora"
    expert: Expert = ""
    rank: int = 32
    alpha: float = 32.0
    targets: tuple[str, ...] = (*ATTENTION, *FEED_FORWARD)
    steps: int = 2000
    batch: int = 1
    accumulation: int = 1
    shots: tuple[int, int] = (2, 4)
    denoised: int | None = None
    stages: tuple[SparsityStage, ...] = DENSE_TO_SPARSE
    chunking: Chunking | None = None
    pooling: Pooling | None = None
    backend: Backend = "auto"
    memory_policy: str = "all"
    keyframes: int = 8
    drop_off: float = 0.5
    drop_in: float = 0.5
    pins: float = 0.04
    bans: float = 0.06
    gaps: float = 0.0
    memory_noise: float = 0.1
    caption_dropout: float = 0.1
    levels: Levels = "logit-normal"
    shift: float | None = None
    emphasis: float = 0.0
    identity: float = 0.0
    learning_rate: float = 1e-4
    warm_up: int = 50
    cool_down: float = 0.2
    weight_decay: float = 0.01
    clip: float = 1.0
    optimizer: Optimizer = "adamw"
    ema: float = 0.999
    precision: Precision = "bf16"
    checkpointing: bool = True
    seed: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "targets", tuple(self.targets))
        object.__setattr__(self, "shots", tuple(self.shots))
        object.__setattr__(self, "stages", tuple(self.stages))
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}: one of {_listed(choices)}, got {getattr(self, name)!r}")
        for name, least in _COUNTS.items():
            _check_count(name, getattr(self, name), least=least)
        for name in ("pins", "bans", "gaps", "caption_dropout", "cool_down"):
            _check_share(name, getattr(self, name))
        for name in ("memory_noise", "ema"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name}: must be at least 0 and below 1, got {getattr(self, name)!r}")
        for name in ("alpha", "learning_rate", "clip"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: must be above 0, got {getattr(self, name)!r}")
        for name in ("weight_decay", "emphasis", "identity"):
            if not 0.0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: must be 0 or more, got {getattr(self, name)!r}")
        if self.shift is not None and not 0.0 < self.shift <= 100.0:
            raise ValueError(f"shift: must be above 0 and at most 100, got {self.shift!r}")
        if self.identity and self.checkpointing:
            raise ValueError(
                "identity: blocks that are computed again give no tokens, turn checkpointing off"
            )
        if self.pins + self.bans > 1.0:
            raise ValueError(f"pins: with bans at most 1, got {self.pins!r} and {self.bans!r}")
        if not self.targets or not all(isinstance(name, str) and name for name in self.targets):
            raise ValueError(f"targets: names of layers, got {self.targets!r}")
        self._check_shots()
        self._check_stages()
        self._check_memory()
        self.routing(RoutingConfig(), top_k=0)  # which names drop_off, drop_in and backend

    def _check_shots(self) -> None:
        _check_range("shots", self.shots)
        if self.denoised is not None:
            _check_count("denoised", self.denoised, least=1)

    def _check_stages(self) -> None:
        ends = [stage.until for stage in self.stages]
        if not ends or ends != sorted(set(ends)) or ends[-1] != 1.0:
            raise ValueError(f"stages: must ascend and end at 1, got {ends}")

    def _check_memory(self) -> None:
        try:
            self.memory()
        except ValueError as error:
            raise ValueError(str(error).replace("policy: ", "memory_policy: ", 1)) from error
        if self.memory_policy == "cast":
            raise ValueError("memory_policy: 'cast' needs the cast of a project, which footage has not")

    def memory(self) -> MemoryConfig:
        """What is remembered of the shots before."""
        return MemoryConfig(policy=self.memory_policy, keyframes=self.keyframes)

    def stage(self, step: int) -> SparsityStage:
        """The stage that a step is in; 0 is the first step."""
        return stage_at(self.stages, step / self.steps)

    def top_k(self, step: int) -> int | None:
        """How many chunks are routed per query in a step (0 is the first); None: dense."""
        return self.stage(step).top_k

    def routing(self, own: RoutingConfig, *, top_k: int) -> RoutingConfig:
        """The routing of `top_k` chunks: the model's `own` settings with those of the recipe over them."""
        chosen: dict[str, Any] = {"chunking": self.chunking, "pooling": self.pooling}
        return replace(
            own,
            top_k=top_k,
            full_below=0,
            outer_shots=None,
            drop_off=self.drop_off,
            drop_in=self.drop_in,
            backend=self.backend,
            **{name: value for name, value in chosen.items() if value is not None},
        )


_CHOICES: Final[dict[str, Sequence[object]]] = {
    "kind": ("lora", "full"),
    "expert": ("", "high", "low"),
    "chunking": (None, "track", "frame"),
    "pooling": (None, "before", "after"),
    "levels": ("logit-normal", "uniform"),
    "optimizer": ("adamw", "adamw8bit"),
    "precision": ("no", "bf16"),
    "checkpointing": (False, True),
}

_COUNTS: Final = {"rank": 1, "steps": 1, "batch": 1, "accumulation": 1, "warm_up": 1, "seed": 0}
"""Whole numbers, and the least of each."""
