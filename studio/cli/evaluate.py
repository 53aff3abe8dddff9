"""`moc-studio eval`: measures what the embedded model remembers, and how fast everything is."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from studio.cli import identity, influence, remedy, report
from studio.domain.errors import wrong_option

if TYPE_CHECKING:
    from moc_engine.evaluation.examination import Examination
    from moc_engine.evaluation.measures.outcomes import Figure


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser("eval", help="measure what the embedded model remembers, shows and costs")
    kinds = parser.add_subparsers(metavar="WHAT", required=True)
    _add_examination(
        kinds,
        "memory",
        help="what captions leave unsaid, on held-out stories",
        description="Generates held-out stories shot by shot from captions alone, with the model's own "
        "earlier takes as context, and compares what captions left unsaid with what the takes before showed. "
        "What is not set is as in a render.",
    )
    _add_examination(
        kinds,
        "following",
        help="what captions say, on held-out stories",
        description="Generates the same stories and looks whether they show what their captions say. What is "
        "not set is as in a render.",
    )
    _add_speed(kinds)
    influence.add_to(kinds)
    identity.add_to(kinds)
    remedy.add_to(kinds)
    report.add_to(kinds)


def _add_examination(kinds: Any, name: str, *, help: str, description: str) -> None:
    from moc_engine.config import Router

    parser = kinds.add_parser(name, help=help, description=description)
    _add_common(parser)
    parser.add_argument("--stories", type=int, default=200, metavar="N", help="default: 200")
    parser.add_argument("--shots", type=int, default=8, metavar="N", help="shots of a story (default: 8)")
    parser.add_argument("--cast", type=int, default=4, metavar="N", help="cast of a story (default: 4)")
    parser.add_argument(
        "--tokens", type=int, default=6, metavar="N", help="length of a shot in half seconds (default: 6)"
    )
    parser.add_argument(
        "--router",
        choices=get_args(Router),
        default="moc",
        help="what a shot looks at: what MoC picks, all before it (dense), nothing (own), or as much as MoC, "
        "but the latest (window), ever less of what lies further back (radial), anything (random), or all of "
        "it averaged to few tokens (packed)",
    )
    parser.add_argument("--top-k", type=int, metavar="K", help="chunks a token may pick")
    parser.add_argument("--chunks", choices=["track", "frame"], help="what a chunk is")
    parser.add_argument("--pooling", choices=["before", "after"], help="chunk means before or after rotation")
    parser.add_argument("--memory-noise", type=float, metavar="X", help="noise level at which takes are read")
    parser.add_argument("--no-own-link", action="store_true", help="tokens do not see the rest of their shot")
    parser.add_argument("--no-caption-link", action="store_true", help="captions are not read")
    parser.add_argument("--steps", type=int, metavar="N", help="denoising steps")
    parser.add_argument("--guidance", type=float, metavar="X", help="how strongly captions pull; 1 is plain")
    parser.add_argument("--guidance-floor", type=float, metavar="X", help="noise level where guidance ends")
    parser.add_argument(
        "--seed", type=int, default=10_000, metavar="N", help="which stories (default: 10000)"
    )
    parser.set_defaults(run=run_examination, kind=name)


def _add_speed(kinds: Any) -> None:
    parser = kinds.add_parser(
        "speed",
        help="painting, attention, and the cost of a late shot and of traces",
        description="CPU time on one core: painting frames, MoC against dense attention, and denoising "
        "shot 32 of a story against shot 2.",
    )
    _add_common(parser)
    parser.set_defaults(run=run_speed)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", type=Path, metavar="DIR", help="another model than the embedded one")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def run_examination(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from moc_engine.evaluation.examination import Examiners
    from moc_engine.evaluation.questions import following, motion, pixels, recall
    from moc_engine.machine import cores
    from studio.store.model_identity import EMBEDDED, identify

    examination = _examination(args)
    settings = {"model": identify(args.model and str(args.model)), **_settings(examination)}
    console = Console(stderr=True)
    with (
        Progress(console=console, transient=True, disable=not console.is_terminal) as bar,
        Examiners(cores()) as examiners,
    ):
        task = bar.add_task("stories", total=examination.stories)
        found = examiners.examine(
            args.model or EMBEDDED,
            examination,
            report=lambda examined: bar.update(task, completed=examined),
        )
    memory = args.kind == "memory"
    of_kind = (*recall.METRICS, *pixels.METRICS) if memory else (*following.METRICS, *motion.METRICS)
    metrics, figures = (*of_kind, "pruned"), found.figures()
    if args.json:
        told = {name: asdict(figures[name]) if name in figures else None for name in metrics}
        print(json.dumps({"settings": settings, "figures": told}, indent=2))
        return 0
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items()))
    for name in metrics:
        if name in figures:
            print(_in_words(name, figures[name]))
    return 0


def _in_words(name: str, figure: Figure) -> str:
    """ "shape          0.993  (0.978–1.000, 140 cases)"."""
    interval = f"{figure.low:.3f}–{figure.high:.3f}"
    return f"{name.replace('_', ' '):22} {figure.mean:.3f}  ({interval}, {figure.count} cases)"


def _examination(args: argparse.Namespace) -> Examination:
    from moc_engine.config import RoutingChoice, SamplerChoice
    from moc_engine.evaluation.examination import Examination
    from moc_engine.evaluation.playback import Playback
    from moc_engine.models.animatic.family import AnimaticFamily

    routing = RoutingChoice(top_k=args.top_k, pooling=args.pooling, chunking=args.chunks)
    sampler = SamplerChoice(
        steps=args.steps,
        guidance=args.guidance,
        guidance_floor=args.guidance_floor,
        memory_noise=args.memory_noise,
    )
    try:
        return Examination(
            stories=args.stories,
            shots=args.shots,
            cast=args.cast,
            tokens=args.tokens,
            playback=Playback(
                router=args.router,
                routing=routing.over(AnimaticFamily.routing),
                sampler=sampler.over(AnimaticFamily.sampler),
                seed=args.seed,
                own_link=not args.no_own_link,
                caption_link=not args.no_caption_link,
            ),
            seed=args.seed,
            pictures=args.kind == "memory",
        )
    except ValueError as error:
        raise wrong_option(error, own_link="no_own_link") from error


def _settings(examination: Examination) -> dict[str, object]:
    """All that decides the figures, beside the model."""
    playback = examination.playback
    chooses = playback.router not in ("dense", "own")
    guidance = {name: getattr(playback.sampler, name) for name in ("guidance", "guidance_floor")}
    return {
        "stories": examination.stories,
        "shots": examination.shots,
        "cast": examination.cast,
        "tokens": examination.tokens,
        "router": playback.router,
        **({"top_k": playback.routing.top_k} if chooses else {}),
        **({"chunks": playback.routing.chunking} if chooses or not playback.own_link else {}),
        **({"pooling": playback.routing.pooling} if playback.router == "moc" else {}),
        **({} if playback.own_link else {"own_link": "removed"}),
        **({} if playback.caption_link else {"caption_link": "removed"}),
        "steps": playback.sampler.steps,
        **(guidance if playback.caption_link else {}),
        "memory_noise": playback.sampler.memory_noise,
        "seed": examination.seed,
    }


def run_speed(args: argparse.Namespace) -> int:
    from tempfile import TemporaryDirectory

    from moc_engine.evaluation.questions.speed import (
        time_attention,
        time_frames,
        time_late_shot,
        time_tracing,
    )

    frames = list(time_frames())
    attention = time_attention()
    with TemporaryDirectory() as folder:
        late = time_late_shot(Path(folder) / "late", model=args.model)
        tracing = time_tracing(Path(folder) / "traced", model=args.model)
    if args.json:
        figures = {"frames": [asdict(timed) for timed in frames], "attention": asdict(attention)}
        figures |= {"late_shot": asdict(late), "tracing": asdict(tracing)}
        print(json.dumps(figures, indent=2))
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
    print(
        f"recording its routing takes {tracing.share:.1%} of the {tracing.seconds:.2f} s in which shot "
        f"{tracing.shot} renders"
    )
    return 0
