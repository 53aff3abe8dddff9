"""`moc-studio eval`: measures on held-out stories what the embedded model remembers."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from studio.errors import WrongUse


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "eval",
        help="measure what the embedded model remembers",
        description="Generates held-out stories shot by shot from captions alone, with the model's own "
        "earlier takes as context, and compares what captions left unsaid with what the takes before showed.",
    )
    parser.add_argument("what", choices=["memory"], help="what to measure")
    parser.add_argument("--model", type=Path, metavar="DIR", help="another model than the embedded one")
    parser.add_argument("--stories", type=_count, default=100, metavar="N", help="default: 100")
    parser.add_argument("--shots", type=_count, default=8, metavar="N", help="shots of a story (default: 8)")
    parser.add_argument("--cast", type=_count, default=4, metavar="N", help="cast of a story (default: 4)")
    parser.add_argument(
        "--router", choices=["moc", "dense", "own"], default="moc", help="what a shot may look at"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be 1 or more, got {number}")
    return number


def run(args: argparse.Namespace) -> int:
    from moc_engine.animatic.model import load
    from moc_engine.evaluation.recall import recall_score
    from studio.model_identity import EMBEDDED

    try:
        score = recall_score(
            load(args.model or EMBEDDED),
            stories=args.stories,
            shots=args.shots,
            cast=args.cast,
            router=args.router,
        )
    except ValueError as error:
        raise WrongUse(f"--{error}") from error
    means = score.headline()
    if args.json:
        print(json.dumps(means, indent=2))
        return 0
    for name, value in means.items():
        print(f"{name.replace('_', ' '):14} {value:.3f}")
    return 0
