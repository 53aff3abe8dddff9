"""What a person may ask of a training run. No torch: the command line answers at once."""

from __future__ import annotations

import math
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PRESETS: Final = ("cpu", "refine", "gpu", "trial", "smoke")
HABITS: Final = ("gradual", "chance", "steering")
"""What a run may do without, to see what it is good for: chunks that grow fewer by and by, drop-off and
drop-in, random pins and bans."""

CHECKPOINT: Final = "checkpoint.pt"


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """A recipe and a folder; `steps` in all instead of the recipe's, `minutes` until this call pauses.

    `origin` is a pipeline folder whose weights to begin with instead of drawing them, `without` lists
    `HABITS` of the recipe to leave out. Raises `ValueError` where they make no sense, also for a folder that
    already holds a run without `resume`, and for `resume` where there is none.
    """

    preset: str
    out: Path
    resume: bool = False
    steps: int | None = None
    minutes: float | None = None
    origin: Path | None = None
    without: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(f"preset: one of {', '.join(PRESETS)}, got {self.preset!r}")
        for habit in self.without:
            if habit not in HABITS:
                raise ValueError(f"without: one of {', '.join(HABITS)}, got {habit!r}")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps: must be 1 or more, got {self.steps}")
        if self.minutes is not None and not 0.0 <= self.minutes < math.inf:
            raise ValueError(f"minutes: must be 0 or more, got {self.minutes}")
        if self.origin is not None and not (self.origin / "model_index.json").is_file():
            raise ValueError(f"from: there is no model in {self.origin}")
        if self.preset == "refine" and self.origin is None and not self.resume:
            raise ValueError("from: the recipe refine goes on from a model; say which folder")
        if self.origin is not None and self.resume:
            raise ValueError("from: a resumed run goes on from its own checkpoint; leave one of the two out")
        begun = (self.out / CHECKPOINT).exists()
        if begun and not self.resume:
            raise ValueError(f"out: {self.out} holds a run already; resume it or choose another folder")
        if self.resume and not begun:
            raise ValueError(f"resume: there is no checkpoint in {self.out}")

    def words(self) -> list[str]:
        """The same options as a command line has them."""
        words = ["--preset", self.preset, "--out", str(self.out)]
        words += ["--resume"] * self.resume
        words += [] if self.steps is None else ["--steps", str(self.steps)]
        words += [] if self.minutes is None else ["--minutes", str(self.minutes)]
        words += [] if self.origin is None else ["--from", str(self.origin)]
        for habit in self.without:
            words += ["--without", habit]
        return words


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--preset", choices=PRESETS, default="cpu", help="the recipe (default: cpu)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in DIR")
    parser.add_argument("--steps", type=int, metavar="N", help="train N steps in all instead of the recipe's")
    parser.add_argument("--minutes", type=float, metavar="N", help="pause after N minutes, ready to resume")
    parser.add_argument(
        "--from",
        type=Path,
        dest="origin",
        metavar="DIR",
        help="begin with this model's weights (refine needs it)",
    )
    parser.add_argument(
        "--without",
        action="append",
        choices=HABITS,
        default=[],
        help="leave out a habit: chunks growing fewer by and by, drop-off and drop-in, random pins and bans",
    )


def read_options(args: Namespace) -> TrainingOptions:
    """The options among a command line's arguments; `ValueError` as `TrainingOptions` raises it."""
    return TrainingOptions(
        preset=args.preset,
        out=args.out,
        resume=args.resume,
        steps=args.steps,
        minutes=args.minutes,
        origin=args.origin,
        without=tuple(args.without),
    )
