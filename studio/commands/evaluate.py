"""`moc-studio eval`: measures what the embedded model remembers, and how fast everything is."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.errors import WrongUse

if TYPE_CHECKING:
    from moc_engine.evaluation.recall import Examination


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "eval", help="measure what the embedded model remembers, and how fast it is"
    )
    kinds = parser.add_subparsers(metavar="WHAT", required=True)
    _add_memory(kinds)
    _add_speed(kinds)


def _add_memory(kinds: Any) -> None:
    parser = kinds.add_parser(
        "memory",
        help="looks that captions leave unsaid, on held-out stories",
        description="Generates held-out stories shot by shot from captions alone, with the model's own "
        "earlier takes as context, and compares what captions left unsaid with what the takes before showed. "
        "What is not set is as in a render.",
    )
    _add_common(parser)
    parser.add_argument("--stories", type=int, default=100, metavar="N", help="default: 100")
    parser.add_argument("--shots", type=int, default=8, metavar="N", help="shots of a story (default: 8)")
    parser.add_argument("--cast", type=int, default=4, metavar="N", help="cast of a story (default: 4)")
    parser.add_argument(
        "--tokens", type=int, default=4, metavar="N", help="length of a shot in half seconds (default: 4)"
    )
    parser.add_argument(
        "--router",
        choices=["moc", "dense", "own"],
        default="moc",
        help="what a shot may look at: what the router picks, all before it, or nothing",
    )
    parser.add_argument("--top-k", type=int, metavar="K", help="chunks a token may pick")
    parser.add_argument("--pooling", choices=["before", "after"], help="chunk means before or after rotation")
    parser.add_argument("--steps", type=int, metavar="N", help="denoising steps")
    parser.add_argument("--guidance", type=float, metavar="X", help="how strongly captions pull; 1 is plain")
    parser.add_argument(
        "--seed", type=int, default=10_000, metavar="N", help="which stories (default: 10000)"
    )
    parser.set_defaults(run=run_memory)


def _add_speed(kinds: Any) -> None:
    parser = kinds.add_parser(
        "speed",
        help="painting, attention, and the cost of a late shot",
        description="CPU time on one core: painting frames, MoC against dense attention, and denoising "
        "shot 32 of a story against shot 2.",
    )
    _add_common(parser)
    parser.set_defaults(run=run_speed)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, metavar="DIR", help="another model than the embedded one")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run_memory(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from moc_engine.animatic.model import load
    from moc_engine.evaluation.recall import recall_score
    from studio.model_identity import EMBEDDED, identify

    examination = _examination(args)
    pipeline = load(args.model or EMBEDDED)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("stories", total=examination.stories)
        score = recall_score(
            pipeline, examination, report=lambda examined: bar.update(task, completed=examined)
        )
    settings = {"model": identify(args.model and str(args.model)), **_settings(examination)}
    means = score.headline()
    if args.json:
        print(json.dumps({"settings": settings, "recall": means}, indent=2))
        return 0
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items()))
    for name, value in means.items():
        print(f"{name.replace('_', ' '):14} {value:.3f}")
    return 0


def _examination(args: argparse.Namespace) -> Examination:
    from moc_engine.animatic.family import AnimaticFamily
    from moc_engine.config import RoutingChoice, SamplerChoice
    from moc_engine.evaluation.recall import Examination

    try:
        return Examination(
            stories=args.stories,
            shots=args.shots,
            cast=args.cast,
            tokens=args.tokens,
            router=args.router,
            routing=RoutingChoice(top_k=args.top_k, pooling=args.pooling).over(AnimaticFamily.routing),
            sampler=SamplerChoice(steps=args.steps, guidance=args.guidance).over(AnimaticFamily.sampler),
            seed=args.seed,
        )
    except ValueError as error:
        raise WrongUse(f"--{str(error).replace('top_k', 'top-k')}") from error


def _settings(examination: Examination) -> dict[str, object]:
    """All that decides the figures, beside the model."""
    routed = examination.router == "moc"
    return {
        "stories": examination.stories,
        "shots": examination.shots,
        "cast": examination.cast,
        "tokens": examination.tokens,
        "router": examination.router,
        **({"top_k": examination.routing.top_k, "pooling": examination.routing.pooling} if routed else {}),
        "steps": examination.sampler.steps,
        "guidance": examination.sampler.guidance,
        "seed": examination.seed,
    }


def run_speed(args: argparse.Namespace) -> int:
    from tempfile import TemporaryDirectory

    from moc_engine.evaluation.speed import time_attention, time_frames, time_late_shot

    frames = list(time_frames())
    attention = time_attention()
    with TemporaryDirectory() as folder:
        late = time_late_shot(Path(folder), model=args.model)
    if args.json:
        figures = {"frames": [asdict(timed) for timed in frames], "attention": asdict(attention)}
        print(json.dumps({**figures, "late_shot": asdict(late)}, indent=2))
        return 0
    for timed in frames:
        width, height = timed.size
        print(
            f"painting {width}x{height}, {timed.scene}: {timed.median:.1f} ms a frame, "
            f"{timed.slowest:.1f} ms the slowest, {timed.first:.0f} ms the first with its plates"
        )
    print(
        f"attention over {attention.context} tokens, {attention.queries} queries: "
        f"{attention.faster:.2f} times as fast as dense with {attention.pairs:.2f} times fewer pairs "
        f"(efficiency {attention.efficiency:.2f})"
    )
    print(
        f"denoising shot {late.late} costs {late.ratio:.2f} times shot {late.early} "
        f"({late.late_seconds:.2f} s against {late.early_seconds:.2f} s)"
    )
    return 0
