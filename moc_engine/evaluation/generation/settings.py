"""Settings of an evaluation: which held-out stories, and how their shots are generated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from moc_engine.config import RoutingConfig, SamplerConfig
from moc_engine.evaluation.generation.methods import Method, method_names, steerable
from moc_engine.models.animatic.scene import CAST_SIZE
from moc_engine.models.animatic.world import Story, sample_story

Steer = Literal["pin", "ban"]


@dataclass(frozen=True, kw_only=True)
class GenerationSettings:
    """How shots are generated, and which connections are removed for an ablation.

    All methods (`router`) but "dense" and "own" attend to as many tokens as `routing` allows MoC. Without
    `own_link` a token attends only to its own chunk of its shot once there is a history; takes are still read
    into memory in full. Without `caption_link` captions are not read. `steer` pins or bans the shots in which
    the cast of a shot first appeared. Raises `ValueError` if the router is unknown or has nothing to pin or
    ban, or no connection is left.
    """

    router: Method = "moc"
    routing: RoutingConfig
    sampler: SamplerConfig
    seed: int = 0
    own_link: bool = True
    caption_link: bool = True
    steer: Steer | None = None

    def __post_init__(self) -> None:
        if self.router not in method_names():
            raise ValueError(f"router: unknown {self.router!r}; there are {', '.join(method_names())}")
        if self.routing.router != "moc":
            raise ValueError(f"routing: its router is for renders, got {self.routing.router!r}")
        if self.steer is not None and not steerable(self.router):
            raise ValueError(f"steer: the router {self.router} has nothing to pin or ban")
        if not self.own_link and self.router == "own":
            raise ValueError("own_link: the router own attends to nothing else")


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Number and size of the held-out stories, and how they are generated.

    `tokens` is the length of every shot in token frames, two per second. With `pictures` some characters are
    also painted and measured in pixels, with `costs` memory is measured at the last shot of each story.
    Raises `ValueError` naming the field that is out of range.
    """

    stories: int = 100
    shots: int = 8
    cast: int = 4
    tokens: int = 6
    generation: GenerationSettings = field(
        default_factory=lambda: GenerationSettings(routing=RoutingConfig(), sampler=SamplerConfig())
    )
    seed: int = 10_000
    pictures: bool = True
    costs: bool = False

    def __post_init__(self) -> None:
        for name in ("stories", "shots", "tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: must be 1 or more, got {getattr(self, name)}")
        if not 1 <= self.cast <= CAST_SIZE:
            raise ValueError(f"cast: must be within 1–{CAST_SIZE}, got {self.cast}")
        if self.seed < 0:
            raise ValueError(f"seed: must be 0 or more, got {self.seed}")

    def story(self, number: int) -> Story:
        """The held-out story of a number; the same for the same `seed`."""
        rng = np.random.default_rng((self.seed, number))
        return sample_story(rng, shots=self.shots, cast=self.cast, tokens=self.tokens)
