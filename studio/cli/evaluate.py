"""`moc-studio eval`: measures the memory, caption following and speed of the embedded model."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.cli import identity, influence, remedy, report, scale, toon_evaluation, vbench, waves
from studio.cli.evaluation import add_json, add_model, add_stories, print_settings, progress
from studio.domain.errors import WrongUse, wrong_option

if TYPE_CHECKING:
    from moc_engine.evaluation.generation.settings import EvaluationSettings
    from moc_engine.evaluation.measures.scores import Summary


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "eval", help="measure the memory, caption following and speed of the model"
    )
    kinds = parser.add_subparsers(metavar="WHAT", required=True)
    _add_scores(
        kinds,
        "memory",
        help="how much of what captions leave undescribed is remembered",
        description="Generates held-out stories shot by shot from their captions, with the model's own "
        "earlier takes as context, and compares what captions leave undescribed with the earlier takes. "
        "Options that are not given have the same defaults as a render.",
    )
    _add_scores(
        kinds,
        "following",
        help="whether takes show what their captions say",
        description="Generates the same stories and checks whether they show what their captions say. "
        "Options that are not given have the same defaults as a render.",
    )
    _add_speed(kinds)
    influence.add_to(kinds)
    identity.add_to(kinds)
    remedy.add_to(kinds)
    report.add_to(kinds)
    vbench.add_to(kinds)
    toon_evaluation.add_to(kinds)
    waves.add_to(kinds)
    scale.add_to(kinds)


def _add_scores(kinds: Any, name: str, *, help: str, description: str) -> None:
    from moc_engine.evaluation.generation.methods import method_names

    parser = kinds.add_parser(name, help=help, description=description)
    add_model(parser)
    add_stories(parser, stories=200)
    parser.add_argument(
        "--router",
        choices=method_names(),
        default="moc",
        help="what a shot attends to: what MoC selects, all earlier shots (dense), none (own), or as much as "
        "MoC, but the latest shots (window), less of older shots (radial), random chunks (random), blocks "
        "causal token by token (moba), chunks found in some steps and used again (adaspa), the first and the "
        "last keyframes (storymem), takes with the same cast (named-cast), or everything averaged to few "
        "tokens (packed); default: moc",
    )
    parser.add_argument("--top-k", type=int, metavar="K", help="chunks that a token selects")
    parser.add_argument("--chunks", choices=["track", "frame"], help="what a chunk is")
    parser.add_argument("--pooling", choices=["before", "after"], help="chunk means before or after rotation")
    parser.add_argument("--memory-noise", type=float, metavar="X", help="noise level when reading takes")
    parser.add_argument(
        "--no-own-link", action="store_true", help="tokens attend only to their own chunk of their shot"
    )
    parser.add_argument("--no-caption-link", action="store_true", help="captions are not read")
    parser.add_argument("--steps", type=int, metavar="N", help="denoising steps")
    parser.add_argument(
        "--guidance", type=float, metavar="X", help="classifier-free guidance scale; 1 is off"
    )
    parser.add_argument("--guidance-floor", type=float, metavar="X", help="noise level where guidance ends")
    add_json(parser)
    parser.set_defaults(run=run_scores, kind=name)


def _add_speed(kinds: Any) -> None:
    parser = kinds.add_parser(
        "speed",
        help="time to paint frames and to record traces",
        description="Measures CPU time on one core: painting frames, and recording traces. Attention and "
        "late shots are measured by the benchmark: make bench, or python -m moc_engine.evaluation.benchmark.",
    )
    add_model(parser)
    parser.add_argument(
        "--quick", action="store_true", help="small sizes and few repeats, to check that everything runs"
    )
    add_json(parser)
    parser.set_defaults(run=run_speed)


def run_scores(args: argparse.Namespace) -> int:
    from moc_engine.evaluation.evaluate import EvaluationPool
    from moc_engine.evaluation.questions import following, motion, pixels, recall
    from moc_engine.machine import cores
    from moc_engine.model_index import EMBEDDED
    from studio.store.model_identity import identify

    evaluation = _evaluation(args)
    settings = {"model": identify(args.model and str(args.model)), **_settings(evaluation)}
    with progress(evaluation.stories) as report_done, EvaluationPool(cores()) as pool:
        scores = pool.evaluate(args.model or EMBEDDED, evaluation, report=report_done)
    memory = args.kind == "memory"
    of_kind = (*recall.METRICS, *pixels.METRICS) if memory else (*following.METRICS, *motion.METRICS)
    metrics, summaries = (*of_kind, "pruned"), scores.summaries()
    if args.json:
        figures = {name: asdict(summaries[name]) if name in summaries else None for name in metrics}
        print(json.dumps({"settings": settings, "figures": figures}, indent=2))
        return 0
    print_settings(settings)
    for name in metrics:
        if name in summaries:
            print(_line(name, summaries[name]))
    return 0


def _line(name: str, summary: Summary) -> str:
    """ "shape          0.993  (0.978–1.000, 140 cases)"."""
    interval = f"{summary.low:.3f}–{summary.high:.3f}"
    return f"{name.replace('_', ' '):22} {summary.mean:.3f}  ({interval}, {summary.count} cases)"


def _evaluation(args: argparse.Namespace) -> EvaluationSettings:
    from moc_engine.config import RoutingChoice, SamplerChoice
    from moc_engine.evaluation.generation.settings import EvaluationSettings, GenerationSettings
    from moc_engine.models.animatic.family import AnimaticFamily

    if args.router in ("dense", "own") and args.top_k is not None:
        raise WrongUse(f"--top-k has no effect with --router {args.router}, which selects no chunks")
    routing = RoutingChoice(top_k=args.top_k, pooling=args.pooling, chunking=args.chunks)
    sampler = SamplerChoice(
        steps=args.steps,
        guidance=args.guidance,
        guidance_floor=args.guidance_floor,
        memory_noise=args.memory_noise,
    )
    try:
        return EvaluationSettings(
            stories=args.stories,
            shots=args.shots,
            cast=args.cast,
            tokens=args.tokens,
            generation=GenerationSettings(
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


def _settings(evaluation: EvaluationSettings) -> dict[str, object]:
    """All settings that the figures depend on, but for the model."""
    generation = evaluation.generation
    budgeted = generation.router not in ("dense", "own")
    guidance = {name: getattr(generation.sampler, name) for name in ("guidance", "guidance_floor")}
    return {
        "stories": evaluation.stories,
        "shots": evaluation.shots,
        "cast": evaluation.cast,
        "tokens": evaluation.tokens,
        "router": generation.router,
        **({"top_k": generation.routing.top_k} if budgeted else {}),
        **({"chunks": generation.routing.chunking} if budgeted or not generation.own_link else {}),
        **({"pooling": generation.routing.pooling} if generation.router == "moc" else {}),
        **({} if generation.own_link else {"own_link": "removed"}),
        **({} if generation.caption_link else {"caption_link": "removed"}),
        "steps": generation.sampler.steps,
        **(guidance if generation.caption_link else {}),
        "memory_noise": generation.sampler.memory_noise,
        "seed": evaluation.seed,
    }


def run_speed(args: argparse.Namespace) -> int:
    from tempfile import TemporaryDirectory

    from moc_engine.evaluation.questions.speed import time_frames, time_tracing

    with TemporaryDirectory() as name:
        folder, model = Path(name), args.model
        if args.quick:
            frames = list(time_frames(1))
            tracing = time_tracing(folder / "traced", model=model, shot=2, size=(320, 180), repeats=1)
        else:
            frames = list(time_frames())
            tracing = time_tracing(folder / "traced", model=model)
    if args.json:
        figures = {"frames": [asdict(timed) for timed in frames], "tracing": asdict(tracing)}
        print(json.dumps(figures, indent=2))
        return 0
    for timed in frames:
        width, height = timed.size
        print(
            f"painting {width}x{height}, {timed.scene}: median {timed.median:.1f} ms per frame, "
            f"slowest {timed.slowest:.1f} ms, first frame with its plates {timed.first:.0f} ms"
        )
    print(
        f"recording the routing takes {tracing.share:.1%} of the {tracing.seconds:.2f} s that shot "
        f"{tracing.shot} takes to render"
    )
    return 0
