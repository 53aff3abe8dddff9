"""The options of a training run. Loads no torch, so that the command line answers quickly."""

from __future__ import annotations

import math
from argparse import ArgumentParser, Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PRESETS: Final = ("cpu", "refine", "gpu", "trial", "smoke")
TECHNIQUES: Final = ("gradual", "drop", "steering")
"""Techniques that can be left out for comparison: gradual sparsification, drop-off and drop-in, random pins
and bans."""

TRAINED_ROUTERS: Final = ("moc", "dense", "own", "moga", "vorta")
"""What a shot may attend to of earlier ones in training: what a router chooses, everything, or nothing."""

CHECKPOINT: Final = "checkpoint.pt"


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """A preset and an output folder.

    `steps` replaces the recipe's total number of steps; after `minutes` the run pauses. `origin` is a
    pipeline folder with the initial weights (None: random). `without` lists `TECHNIQUES` to leave out.
    `router` is one of `TRAINED_ROUTERS`. Raises `ValueError` naming the option, also if `out` holds a run and
    `resume` is not set, or the reverse.
    """

    preset: str
    out: Path
    resume: bool = False
    steps: int | None = None
    minutes: float | None = None
    origin: Path | None = None
    without: tuple[str, ...] = ()
    router: str = "moc"

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ValueError(f"preset: one of {', '.join(PRESETS)}, got {self.preset!r}")
        for technique in self.without:
            if technique not in TECHNIQUES:
                raise ValueError(f"without: one of {', '.join(TECHNIQUES)}, got {technique!r}")
        if self.router not in TRAINED_ROUTERS:
            raise ValueError(f"router: one of {', '.join(TRAINED_ROUTERS)}, got {self.router!r}")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps: must be 1 or more, got {self.steps}")
        if self.minutes is not None and not 0.0 <= self.minutes < math.inf:
            raise ValueError(f"minutes: must be 0 or more, got {self.minutes}")
        if self.origin is not None and not (self.origin / "model_index.json").is_file():
            raise ValueError(f"from: there is no model in {self.origin}")
        if self.preset == "refine" and self.origin is None and not self.resume:
            raise ValueError("from: the preset refine needs initial weights; name a model's folder")
        if self.router == "vorta" and self.origin is None and not self.resume:
            raise ValueError(
                "from: the router vorta learns beside weights that stay as they are; name a model's folder"
            )
        if self.origin is not None and self.resume:
            raise ValueError("from: a resumed run continues from its own checkpoint; leave one out")
        exists = (self.out / CHECKPOINT).exists()
        if exists and not self.resume:
            raise ValueError(f"out: {self.out} already holds a run; resume it or choose another folder")
        if self.resume and not exists:
            raise ValueError(f"resume: there is no checkpoint in {self.out}")

    def arguments(self) -> list[str]:
        """The options as command-line arguments."""
        arguments = ["--preset", self.preset, "--out", str(self.out)]
        arguments += ["--resume"] * self.resume
        arguments += [] if self.steps is None else ["--steps", str(self.steps)]
        arguments += [] if self.minutes is None else ["--minutes", str(self.minutes)]
        arguments += [] if self.origin is None else ["--from", str(self.origin)]
        for technique in self.without:
            arguments += ["--without", technique]
        arguments += [] if self.router == "moc" else ["--router", self.router]
        return arguments


def add_options(parser: ArgumentParser) -> None:
    parser.add_argument("--preset", choices=PRESETS, default="cpu", help="the training recipe (default: cpu)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    parser.add_argument("--resume", action="store_true", help="continue from the last checkpoint in DIR")
    parser.add_argument(
        "--steps", type=int, metavar="N", help="total number of steps (default: the preset's)"
    )
    parser.add_argument(
        "--minutes", type=float, metavar="N", help="pause after N minutes; continue with --resume"
    )
    parser.add_argument(
        "--from",
        type=Path,
        dest="origin",
        metavar="DIR",
        help="start from this model's weights (required by refine)",
    )
    parser.add_argument(
        "--without",
        action="append",
        choices=TECHNIQUES,
        default=[],
        help="leave out gradual sparsification, drop-off and drop-in, or random pins and bans",
    )
    parser.add_argument(
        "--router",
        choices=TRAINED_ROUTERS,
        default="moc",
        help="what a shot attends to of earlier ones: what a router chooses (moc, moga, vorta), everything "
        "(dense) or nothing (own); vorta learns beside the weights of --from, which stay as they are "
        "(default: moc)",
    )


def read_options(args: Namespace) -> TrainingOptions:
    """The options of a parsed command line; raises `ValueError` as `TrainingOptions` does."""
    return TrainingOptions(
        preset=args.preset,
        out=args.out,
        resume=args.resume,
        steps=args.steps,
        minutes=args.minutes,
        origin=args.origin,
        without=tuple(args.without),
        router=args.router,
    )
