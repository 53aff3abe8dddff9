"""A way to attend that the benchmark compares, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from moc_engine.evaluation.benchmark.check import SCALES
from moc_engine.evaluation.benchmark.story import Story

Kind = Literal["ours", "auto", "dense", "sparse", "static", "token-causal"]


class NotPossible(Exception):
    """Why a contestant cannot take part."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """The output (1, H, L, D) of a contestant, and what it attended to.

    `chosen_HLK` are chunks of the whole story, -1 for none; None: all. With `own_shot` the own shot besides.
    `note` says how it was computed, where that was chosen.
    """

    out: Tensor
    chosen_HLK: Tensor | None = None
    own_shot: bool = False
    note: str | None = None


Run = Callable[[], Result]
"""What is timed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Contestant:
    """A way to attend. `prepare` does what is done once for a story, and returns what is timed.

    `chooses`: it chooses chunks as MoC does, which is checked too. `joined`: it reads the keys of the whole
    story side by side. It is checked at inputs of `scales`, against attention over what `reference` makes of
    the story. Raises `NotPossible` where it cannot take part.
    """

    name: str
    kind: Kind
    prepare: Callable[[Story], Run]
    chooses: bool = False
    joined: bool = False
    gradients: bool = True
    scales: tuple[float, ...] = SCALES
    reference: Callable[[Story], Story] = lambda story: story
