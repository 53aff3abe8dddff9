"""`moc-studio eval toon`: what a toon model remembers, read in the pixels of its films."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.cli.evaluation import add_json, print_settings
from studio.domain.errors import WrongUse

if TYPE_CHECKING:
    from moc_engine.evaluation.measures.scores import Summary


def add_to(kinds: Any) -> None:
    parser = kinds.add_parser(
        "toon",
        help="what a toon model remembers, read in the pixels of its films",
        description="Draws held-out stories, makes their shots with a model of moc-studio train toon, and "
        "reads in pixels whether characters that no caption describes return in the colour that they had: "
        "with routed chunks, with all earlier shots, and with none. The drawn pictures give the ceiling of "
        "the measure. Also renders late shots as the studio does, and reads in their traces where attention "
        "lies in the picture.",
    )
    parser.add_argument("--model", type=Path, required=True, metavar="DIR", help="the model's folder")
    parser.add_argument("--preset", default="toon-cpu", metavar="NAME", help="what it was trained by")
    parser.add_argument("--stories", type=int, metavar="N", help="held-out stories (default: the preset's)")
    parser.add_argument("--shots", type=int, metavar="N", help="shots of a story (default: the preset's)")
    parser.add_argument(
        "--context",
        choices=["drawn", "own"],
        default="drawn",
        help="the earlier shots of a shot: those that were drawn, or the film's own (default: drawn)",
    )
    parser.add_argument("--top-k", type=int, default=3, metavar="K", help="chunks that a token routes to")
    parser.add_argument("--steps", type=int, metavar="N", help="denoising steps")
    parser.add_argument("--guidance", type=float, metavar="X", help="classifier-free guidance; 1 is off")
    parser.add_argument(
        "--heat-stories", type=int, default=4, metavar="N", help="stories whose trace is read"
    )
    parser.add_argument("--sheet", type=Path, metavar="FILE.png", help="write pictures of the first films")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from moc_engine.evaluation.toon.toon_report import ToonQuestion, report
    from moc_engine.training.toon.toon_presets import PRESETS

    if args.preset not in PRESETS:
        raise WrongUse(f"--preset: one of {', '.join(PRESETS)}, got {args.preset!r}")
    for name in ("stories", "shots", "steps", "top_k"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise WrongUse(f"--{name.replace('_', '-')}: must be 1 or more, got {value}")
    question = ToonQuestion.of_preset(
        args.preset,
        context=args.context,
        top_k=args.top_k,
        stories=args.stories,
        shots=args.shots,
        steps=args.steps,
        guidance=args.guidance,
        heat_stories=args.heat_stories,
    )
    found = report(args.model, question, sheet=args.sheet)
    settings = {"model": str(args.model), **asdict(question)}
    if args.json:
        figures = {way: {n: asdict(s) for n, s in by.items()} for way, by in found.figures.items()}
        heat = {name: asdict(summary) for name, summary in found.heat.items()}
        document = {"settings": settings, "figures": figures, "pruned": dict(found.pruned), "heat": heat}
        print(json.dumps(document, indent=2))
        return 0
    print_settings(settings)
    for way, by_metric in found.figures.items():
        pruned = f"{found.pruned[way]:.1%} of pairs pruned" if way in found.pruned else ""
        print(
            f"{way:8} "
            + "  ".join(_words(name, by_metric[name]) for name in by_metric)
            + f"  {pruned}".rstrip()
        )
    for name, summary in found.heat.items():
        print(_words(name, summary))
    return 0


def _words(name: str, summary: Summary) -> str:
    return (
        f"{name.replace('_', ' ')} {summary.mean:.3f} ({summary.low:.3f}–{summary.high:.3f}, {summary.count})"
    )
