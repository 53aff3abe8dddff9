"""`python -m moc_engine.evaluation`: examines a model's memory on held-out stories."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import get_args

from moc_engine.animatic.model import load
from moc_engine.config import RoutingConfig
from moc_engine.errors import ModelNotFound
from moc_engine.evaluation.playback import Router
from moc_engine.evaluation.recall import recall_score

SHIPPED = Path(__file__).parents[1] / "animatic" / "weights"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m moc_engine.evaluation", description=__doc__)
    parser.add_argument("--model", type=Path, default=SHIPPED, metavar="DIR", help="default: the shipped one")
    parser.add_argument("--stories", type=int, default=100)
    parser.add_argument("--shots", type=int, default=8, help="shots of a story")
    parser.add_argument("--cast", type=int, default=4, help="cast members of a story")
    parser.add_argument("--frames", type=int, default=4, help="token frames of a shot, half a second each")
    parser.add_argument("--router", choices=get_args(Router), default="moc")
    parser.add_argument("--top-k", type=int, default=RoutingConfig().top_k)
    parser.add_argument("--pooling", choices=("before", "after"), default=RoutingConfig().pooling)
    parser.add_argument("--steps", type=int, default=12, help="denoising steps")
    parser.add_argument("--guidance", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=10_000)
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    args = parser.parse_args()
    try:
        score = recall_score(
            load(args.model),
            stories=args.stories,
            shots=args.shots,
            cast=args.cast,
            tokens=args.frames,
            router=args.router,
            routing=RoutingConfig(top_k=args.top_k, pooling=args.pooling),
            steps=args.steps,
            guidance=args.guidance,
            seed=args.seed,
        )
    except (ModelNotFound, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    means = score.headline()
    if args.json:
        print(json.dumps(means))
    else:
        for name, value in means.items():
            print(f"{name.replace('_', ' '):14} {value:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
