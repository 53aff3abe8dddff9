"""`python -m moc_engine.training`: the same as `moc-studio train animatic`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from moc_engine.training.loop import train
from moc_engine.training.recipes import RECIPES


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m moc_engine.training", description=__doc__)
    parser.add_argument("--preset", choices=RECIPES, default="cpu", help="the recipe (default: cpu)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="checkpoints, curve, weights")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in DIR")
    parser.add_argument("--steps", type=int, help="train so many steps in all, instead of the recipe's")
    parser.add_argument(
        "--minutes", type=float, help="end this call after so many minutes, with a checkpoint"
    )
    args = parser.parse_args()
    try:
        train(args.preset, args.out, args.resume, steps=args.steps, minutes=args.minutes)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
