"""`moc-studio train`: trains the embedded model."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from studio.errors import StudioError, WrongUse


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "train",
        help="train the embedded model",
        description="Trains the embedded model from scratch, or takes a run up again with --resume. Weights, "
        "checkpoints and the curves of loss and recall lie in DIR.",
    )
    parser.add_argument("model", choices=["animatic"], help="which model")
    parser.add_argument("--preset", choices=["cpu", "gpu"], default="cpu", help="the recipe (default: cpu)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where to")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in DIR")
    parser.add_argument("--steps", type=int, metavar="N", help="train N steps instead of the recipe's")
    parser.add_argument("--minutes", type=float, metavar="N", help="pause after N minutes, ready to resume")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from studio.artifacts import told_plainly

    try:
        from moc_engine.training.loop import train
    except ModuleNotFoundError as error:
        raise StudioError(f"training needs {error.name}: pip install -e '.[train]'") from error
    try:
        with told_plainly(args.out):
            train(args.preset, args.out, args.resume, steps=args.steps, minutes=args.minutes)
    except ValueError as error:
        raise WrongUse(f"--{error}") from error
    return 0
