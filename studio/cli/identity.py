"""`moc-studio eval identity`: whether the model's own features tell who looks alike."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from studio.cli.evaluation import (
    add_json,
    add_model,
    add_stories,
    print_settings,
    progress,
    without_nan,
)
from studio.domain.errors import wrong_option

if TYPE_CHECKING:
    from moc_engine.evaluation.questions.identity import Identity, Result


def add_to(kinds: Any) -> None:
    parser = kinds.add_parser(
        "identity",
        help="whether the model's own features tell who looks alike",
        description="Reads drawn and generated takes of held-out stories, and compares the features of each "
        "character or set in two takes with their looks, by layer and noise level. The best feature is "
        "chosen on every other story and measured on the rest.",
    )
    add_model(parser)
    add_stories(parser, stories=20)
    parser.add_argument("--steps", type=int, metavar="N", help="denoising steps")
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from moc_engine.config import SamplerChoice
    from moc_engine.evaluation.generation.settings import EvaluationSettings, GenerationSettings
    from moc_engine.evaluation.questions.identity import collect, study
    from moc_engine.model_index import EMBEDDED
    from moc_engine.models.animatic.family import AnimaticFamily
    from moc_engine.models.animatic.model import load
    from moc_engine.models.loading import load_backbone
    from studio.store.model_identity import identify

    try:
        if args.stories == 1:
            raise ValueError("stories: must be 2 or more, to choose by and to measure, got 1")
        sampler = SamplerChoice(steps=args.steps).over(AnimaticFamily.sampler)
        evaluation = EvaluationSettings(
            stories=args.stories,
            shots=args.shots,
            cast=args.cast,
            tokens=args.tokens,
            generation=GenerationSettings(routing=AnimaticFamily.routing, sampler=sampler, seed=args.seed),
            seed=args.seed,
        )
    except ValueError as error:
        raise wrong_option(error) from error
    settings = {
        "model": identify(args.model and str(args.model)),
        **{name: getattr(evaluation, name) for name in ("stories", "shots", "cast", "tokens", "seed")},
        "steps": sampler.steps,
    }
    folder = args.model or EMBEDDED
    backbone, pipeline = load_backbone(folder, "cpu"), load(folder)
    with progress(evaluation.stories) as report:
        found = study(collect(backbone, pipeline, evaluation, report=report))
    if args.json:
        print(json.dumps({"settings": settings, "figures": without_nan(asdict(found))}, indent=2))
        return 0
    print_settings(settings)
    for line in _lines(found):
        print(line)
    return 0


def _lines(found: Identity) -> list[str]:
    best = found.best
    noises = sorted({candidate.noise for candidate in found.candidates})
    lines = ["Spearman | AUC of different looks; one name, one film; cosine distance; by noise level:"]
    lines.append(f"{'layer':16}" + "".join(f"{noise:<16g}" for noise in noises))
    scores = {(c.kind, c.layer, c.noise): c for c in found.candidates if c.metric == "cosine"}
    for kind, layer in sorted({key[:2] for key in scores}):
        row = (scores[kind, layer, noise] for noise in noises)
        cells = "".join(f"{f'{c.correlation:.3f} | {c.auc:.3f}':16}" for c in row)
        lines.append(f"{f'{kind} {layer + 1}':16}{cells}")
    lines += ["", f"best: {best.kind} of layer {best.layer + 1} at noise {best.noise:g}, {best.metric}"]
    lines.append(f"different look from distance {found.threshold:.3f}; on the other stories:")
    lines += [_line(result) for result in found.results]
    lines += ["the latents, averaged likewise:", *map(_line, found.latents)]
    lines.append(f"portraits by attention to a name; different look from {found.portrait_threshold:.3f}:")
    lines += [_line(result) for result in found.portraits]
    return lines


def _line(result: Result) -> str:
    what = f"{result.subject}s {result.source}, {result.among}"
    c, a = result.correlation, result.auc
    return (
        f"{what:42} {result.pairs:6} pairs, {result.same:.3f} alike: Spearman {c.value:.3f} "
        f"({c.low:.3f}–{c.high:.3f}), AUC {a.value:.3f} ({a.low:.3f}–{a.high:.3f}), "
        f"balanced accuracy {result.balanced_accuracy:.3f}"
    )
