"""`moc-studio eval influence`: whether attention shares predict what changes without a context take."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.cli.evaluation import (
    add_json,
    add_model,
    add_stories,
    print_settings,
    progress,
    without_nan,
)
from studio.domain.errors import StudioError, wrong_option

if TYPE_CHECKING:
    from moc_engine.evaluation.generation.settings import EvaluationSettings
    from moc_engine.evaluation.measures.correlation import Estimate
    from moc_engine.evaluation.questions.influence import Influence


def add_to(kinds: Any) -> None:
    parser = kinds.add_parser(
        "influence",
        help="whether the share of attention predicts what a shot would change without a take",
        description="Generates held-out stories, then every shot again with the same seed without each of "
        "its earlier takes in turn, and compares the change with the share of attention in the trace. 50 "
        "stories take about twelve minutes on one core.",
    )
    add_model(parser)
    add_stories(parser, stories=50)
    parser.add_argument(
        "--pairs", type=int, metavar="N", help="context shots to ban per shot, at random (default: all)"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="denoising steps")
    parser.add_argument("--top-k", type=int, metavar="K", help="chunks that a token selects")
    add_json(parser)
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="plot the change against the share")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from moc_engine.evaluation.questions.influence import measure, study
    from moc_engine.model_index import EMBEDDED
    from moc_engine.models.loading import load_backbone
    from studio.domain.settings import Settings
    from studio.store.model_identity import identify
    from studio.store.os_errors import os_errors_as_studio_errors

    if args.plot is not None and find_spec("matplotlib") is None:
        raise StudioError(f"the plot needs matplotlib: {sys.executable} -m pip install 'moc-studio[train]'")
    evaluation = _evaluation(args)
    if args.pairs is not None and args.pairs < 1:
        raise wrong_option(ValueError(f"pairs: must be 1 or more, got {args.pairs}"))
    settings = {"model": identify(args.model and str(args.model)), **_settings(args, evaluation)}
    backbone = load_backbone(args.model or EMBEDDED, "cpu")
    with progress(evaluation.stories) as report:
        pairs = measure(backbone, evaluation, pairs=args.pairs, report=report)
    found = study(pairs)
    if args.plot is not None:
        from moc_engine.evaluation.reports.influence_plot import write_plot

        with os_errors_as_studio_errors(args.plot):
            write_plot(pairs, found, args.plot, threshold=Settings().rerender_threshold)
    if args.json:
        print(json.dumps({"settings": settings, "figures": without_nan(asdict(found))}, indent=2))
        return 0
    print_settings(settings)
    for line in _lines(found):
        print(line)
    return 0


def _evaluation(args: argparse.Namespace) -> EvaluationSettings:
    from moc_engine.config import RoutingChoice, SamplerChoice
    from moc_engine.evaluation.generation.settings import EvaluationSettings, GenerationSettings
    from moc_engine.models.animatic.family import AnimaticFamily

    try:
        if args.shots == 1:
            raise ValueError("shots: must be 2 or more, so that a shot has context, got 1")
        return EvaluationSettings(
            stories=args.stories,
            shots=args.shots,
            cast=args.cast,
            tokens=args.tokens,
            generation=GenerationSettings(
                routing=RoutingChoice(top_k=args.top_k).over(AnimaticFamily.routing),
                sampler=SamplerChoice(steps=args.steps).over(AnimaticFamily.sampler),
                seed=args.seed,
            ),
            seed=args.seed,
        )
    except ValueError as error:
        raise wrong_option(error) from error


def _settings(args: argparse.Namespace, evaluation: EvaluationSettings) -> dict[str, object]:
    generation = evaluation.generation
    return {
        "stories": evaluation.stories,
        "shots": evaluation.shots,
        "cast": evaluation.cast,
        "tokens": evaluation.tokens,
        "pairs": "each" if args.pairs is None else args.pairs,
        "top_k": generation.routing.top_k,
        "steps": generation.sampler.steps,
        "guidance": generation.sampler.guidance,
        "seed": evaluation.seed,
    }


def _lines(found: Influence) -> list[str]:
    parts = ", ".join(f"{name} {share:.3f}" for name, share in found.parts.items() if share)
    lines = [
        f"{found.pairs} pairs of a shot and a banned context shot; share with a visible change "
        f"{_format(found.visible)}, in the scene {found.seen_in_scene:.3f}, in pixels "
        f"{found.seen_in_pixels:.3f}",
        f"visible changes of the scene by part: {parts or 'none'}",
        "",
        _row("Spearman, AUC", "pixels", "within a shot", "scene", "within a shot", "AUC", "AUC, scene"),
    ]
    for p in found.predictions:
        estimates = (p.pixels, p.pixels_within, p.scene, p.scene_within, p.auc, p.scene_auc)
        lines.append(_row(p.name, *map(_format, estimates)))
    columns = ("share of pairs", "precision", "recall", "precision, scene", "recall, scene")
    lines += ["", _row("threshold", *columns)]
    for t in found.thresholds:
        calibrated = (t.precision, t.recall, t.scene_precision, t.scene_recall)
        lines.append(_row(f"{t.name} {t.least:.2f}", f"{t.flagged:.3f}", *map(_format, calibrated)))
    return lines


def _row(name: str, *cells: str) -> str:
    return f"{name:42} {' '.join(f'{cell:18}' for cell in cells)}".rstrip()


def _format(estimate: Estimate) -> str:
    """ ".506 .42–.64"."""
    return f"{estimate.value:.3f} {estimate.low:.2f}–{estimate.high:.2f}"
