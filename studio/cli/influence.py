"""`moc-studio eval influence`: what the share of attention means, measured by taking it away."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.cli.figures import without_nan
from studio.domain.errors import StudioError, wrong_option

if TYPE_CHECKING:
    from moc_engine.evaluation.examination import Examination
    from moc_engine.evaluation.measures.correlation import Estimate
    from moc_engine.evaluation.questions.influence import Influence


def add_to(kinds: Any) -> None:
    parser = kinds.add_parser(
        "influence",
        help="whether the share of attention tells what a shot would change",
        description="Generates held-out stories, then every shot again without each of the earlier takes it "
        "could look at, at the same seed, and holds what changed against the share that the trace recorded. "
        "50 stories take about twelve minutes of one core.",
    )
    parser.add_argument("--model", type=Path, metavar="DIR", help="another model than the embedded one")
    parser.add_argument("--stories", type=int, default=50, metavar="N", help="default: 50")
    parser.add_argument("--shots", type=int, default=8, metavar="N", help="shots of a story (default: 8)")
    parser.add_argument("--cast", type=int, default=4, metavar="N", help="cast of a story (default: 4)")
    parser.add_argument(
        "--tokens", type=int, default=6, metavar="N", help="length of a shot in half seconds (default: 6)"
    )
    parser.add_argument(
        "--pairs", type=int, metavar="N", help="context shots of a shot that are banned (default: each)"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="denoising steps")
    parser.add_argument("--top-k", type=int, metavar="K", help="chunks a token may pick")
    parser.add_argument(
        "--seed", type=int, default=10_000, metavar="N", help="which stories (default: 10000)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw change against share")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from moc_engine.evaluation.questions.influence import measure, study
    from moc_engine.models.loading import load_backbone
    from studio.domain.storyboard import Settings
    from studio.store.model_identity import EMBEDDED, identify
    from studio.store.os_errors import os_errors_as_studio_errors

    if args.plot is not None and find_spec("matplotlib") is None:
        raise StudioError(f"the plot needs matplotlib: {sys.executable} -m pip install -e '.[train]'")
    examination = _examination(args)
    if args.pairs is not None and args.pairs < 1:
        raise wrong_option(ValueError(f"pairs: must be 1 or more, got {args.pairs}"))
    settings = {"model": identify(args.model and str(args.model)), **_settings(args, examination)}
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("stories", total=examination.stories)
        pairs = measure(
            load_backbone(args.model or EMBEDDED, "cpu"),
            examination,
            pairs=args.pairs,
            report=lambda examined: bar.update(task, completed=examined),
        )
    found = study(pairs)
    if args.plot is not None:
        from moc_engine.evaluation.reports.influence_plot import write_plot

        with os_errors_as_studio_errors(args.plot):
            write_plot(pairs, found, args.plot, threshold=Settings().rerender_threshold)
    if args.json:
        print(json.dumps({"settings": settings, "figures": without_nan(asdict(found))}, indent=2))
        return 0
    print(", ".join(f"{name.replace('_', ' ')} {value}" for name, value in settings.items()))
    for line in _in_words(found):
        print(line)
    return 0


def _examination(args: argparse.Namespace) -> Examination:
    from moc_engine.config import RoutingChoice, SamplerChoice
    from moc_engine.evaluation.examination import Examination
    from moc_engine.evaluation.playback import Playback
    from moc_engine.models.animatic.family import AnimaticFamily

    try:
        if args.shots == 1:
            raise ValueError("shots: must be 2 or more, for a shot to have a context, got 1")
        return Examination(
            stories=args.stories,
            shots=args.shots,
            cast=args.cast,
            tokens=args.tokens,
            playback=Playback(
                routing=RoutingChoice(top_k=args.top_k).over(AnimaticFamily.routing),
                sampler=SamplerChoice(steps=args.steps).over(AnimaticFamily.sampler),
                seed=args.seed,
            ),
            seed=args.seed,
        )
    except ValueError as error:
        raise wrong_option(error) from error


def _settings(args: argparse.Namespace, examination: Examination) -> dict[str, object]:
    playback = examination.playback
    return {
        "stories": examination.stories,
        "shots": examination.shots,
        "cast": examination.cast,
        "tokens": examination.tokens,
        "pairs": "each" if args.pairs is None else args.pairs,
        "top_k": playback.routing.top_k,
        "steps": playback.sampler.steps,
        "guidance": playback.sampler.guidance,
        "seed": examination.seed,
    }


def _in_words(found: Influence) -> list[str]:
    parts = ", ".join(f"{name} {share:.3f}" for name, share in found.parts.items() if share)
    lines = [
        f"{found.pairs} pairs of a shot and a banned context shot; visibly changed {_of(found.visible)}, in "
        f"the scene {found.seen_in_scene:.3f}, in the picture {found.seen_in_pixels:.3f}",
        f"visible in the scene: {parts or 'nothing'}",
        "",
        _row("Spearman, AUC", "pixels", "within a shot", "scene", "within a shot", "AUC", "AUC, scene"),
    ]
    for p in found.predictions:
        told = (p.pixels, p.pixels_within, p.scene, p.scene_within, p.auc, p.scene_auc)
        lines.append(_row(p.name, *map(_of, told)))
    columns = ("of pairs", "changed visibly", "of visible changes", "changed in scene", "of such changes")
    lines += ["", _row("at least", *columns)]
    for t in found.thresholds:
        calibrated = (t.precision, t.recall, t.scene_precision, t.scene_recall)
        lines.append(_row(f"{t.name} {t.least:.2f}", f"{t.flagged:.3f}", *map(_of, calibrated)))
    return lines


def _row(name: str, *cells: str) -> str:
    return f"{name:42} {' '.join(f'{cell:18}' for cell in cells)}".rstrip()


def _of(estimate: Estimate) -> str:
    """ ".506 .42–.64"."""
    return f"{estimate.value:.3f} {estimate.low:.2f}–{estimate.high:.2f}"
