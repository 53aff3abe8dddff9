"""`moc-studio train toon`: trains a toon model, a small Wan model on drawn stories, from nothing."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, Final

from studio.cli.training_processes import check_packages, run_processes
from studio.domain.errors import WrongUse

TRAINING: Final = "moc_engine.evaluation.toon.toon_training"
"""The module that the training process runs; not imported here, so that wrong options fail quickly."""

PRESETS: Final = {
    "toon-cpu": "small pictures of a few characters, on a CPU",
    "toon-gpu": "larger ones of all sets, shapes and lights, in pieces of nine minutes of a GPU",
    "toon-smoke": "seconds, to check that everything runs",
}


def add_to(kinds: Any) -> None:
    parser = kinds.add_parser(
        "toon",
        help="a small Wan model from nothing, on stories drawn to pixels",
        description="Draws stories, trains an autoencoder and a text encoder on them, and then a transformer "
        "with memory by the trainer of train full. DIR/tuning/model is a Wan model that the studio loads as "
        "any other. A piece that has ended, or was killed, goes on by the same command.",
    )
    words = "; ".join(f"{name}: {about}" for name, about in PRESETS.items())
    parser.add_argument("--preset", choices=PRESETS, default="toon-cpu", help=f"{words} (default: toon-cpu)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="output folder")
    parser.add_argument("--minutes", type=float, metavar="N", help="end the piece after N minutes")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    if args.minutes is not None and not args.minutes > 0:
        raise WrongUse(f"--minutes: must be above 0, got {args.minutes}")
    check_packages({"accelerate": "accelerate", "matplotlib": "'moc-studio[train]'"})
    minutes = [] if args.minutes is None else ["--minutes", str(args.minutes)]
    arguments = [args.preset, str(args.out), *minutes]
    return run_processes(TRAINING, arguments, 1, again="the same command goes on")
