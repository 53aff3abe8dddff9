"""`moc-studio eval identity`: whether the model's own features tell who looks alike."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.cli.figures import without_nan
from studio.domain.errors import wrong_option

if TYPE_CHECKING:
    from moc_engine.evaluation.questions.identity import Identity, Told


def add_to(kinds: Any) -> None:
    parser = kinds.add_parser(
        "identity",
        help="whether the model's own features tell who looks alike",
        description="Reads drawn and generated takes of held-out stories, compares the features of whoever "
        "appears in two of them with how they look, layer by layer and at several noise levels, and tells "
        "which tell most: chosen on every other story, measured on the rest.",
    )
    parser.add_argument("--model", type=Path, metavar="DIR", help="another model than the embedded one")
    parser.add_argument("--stories", type=int, default=20, metavar="N", help="default: 20")
    parser.add_argument("--shots", type=int, default=8, metavar="N", help="shots of a story (default: 8)")
    parser.add_argument("--cast", type=int, default=4, metavar="N", help="cast of a story (default: 4)")
    parser.add_argument(
        "--tokens", type=int, default=6, metavar="N", help="length of a shot in half seconds (default: 6)"
    )
    parser.add_argument("--steps", type=int, metavar="N", help="denoising steps")
    parser.add_argument(
        "--seed", type=int, default=10_000, metavar="N", help="which stories (default: 10000)"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from moc_engine.config import SamplerChoice
    from moc_engine.evaluation.examination import Examination
    from moc_engine.evaluation.playback import Playback
    from moc_engine.evaluation.questions.identity import collect, study
    from moc_engine.models.animatic.family import AnimaticFamily
    from moc_engine.models.animatic.model import load
    from moc_engine.models.loading import load_backbone
    from studio.store.model_identity import EMBEDDED, identify

    try:
        if args.stories == 1:
            raise ValueError("stories: must be 2 or more, some to choose by and some to tell, got 1")
        sampler = SamplerChoice(steps=args.steps).over(AnimaticFamily.sampler)
        examination = Examination(
            stories=args.stories,
            shots=args.shots,
            cast=args.cast,
            tokens=args.tokens,
            playback=Playback(routing=AnimaticFamily.routing, sampler=sampler, seed=args.seed),
            seed=args.seed,
        )
    except ValueError as error:
        raise wrong_option(error) from error
    settings = {
        "model": identify(args.model and str(args.model)),
        **{name: getattr(examination, name) for name in ("stories", "shots", "cast", "tokens", "seed")},
        "steps": sampler.steps,
    }
    folder = args.model or EMBEDDED
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("stories", total=examination.stories)
        found = study(
            collect(
                load_backbone(folder, "cpu"),
                load(folder),
                examination,
                report=lambda examined: bar.update(task, completed=examined),
            )
        )
    if args.json:
        print(json.dumps({"settings": settings, "figures": without_nan(asdict(found))}, indent=2))
        return 0
    print(", ".join(f"{name} {value}" for name, value in settings.items()))
    for line in _in_words(found):
        print(line)
    return 0


def _in_words(found: Identity) -> list[str]:
    best = found.best
    noises = sorted({tried.noise for tried in found.tried})
    lines = ["Spearman | AUC of other looks, one name, one film, cosine; by noise level:"]
    lines.append(f"{'layer':16}" + "".join(f"{noise:<16g}" for noise in noises))
    scores = {(t.kind, t.layer, t.noise): t for t in found.tried if t.metric == "cosine"}
    for kind, layer in sorted({key[:2] for key in scores}):
        row = (scores[kind, layer, noise] for noise in noises)
        cells = "".join(f"{f'{t.correlation:.3f} | {t.auc:.3f}':16}" for t in row)
        lines.append(f"{f'{kind} {layer + 1}':16}{cells}")
    lines += ["", f"best: {best.kind} of layer {best.layer + 1} at noise {best.noise:g}, {best.metric}"]
    lines.append(f"another look from a distance of {found.threshold:.3f} on; on the other stories:")
    lines += [_told(told) for told in found.told]
    lines += ["the latents themselves, averaged likewise:", *map(_told, found.latents)]
    lines.append(f"portraits by attention to a name; another look from {found.portrait_threshold:.3f} on:")
    lines += [_told(told) for told in found.portraits]
    return lines


def _told(told: Told) -> str:
    what = f"{told.subject}s {told.source}, {told.among}"
    c, a = told.correlation, told.auc
    return (
        f"{what:42} {told.pairs:6} pairs, {told.same:.3f} alike: Spearman {c.value:.3f} "
        f"({c.low:.3f}–{c.high:.3f}), AUC {a.value:.3f} ({a.low:.3f}–{a.high:.3f}), right {told.right:.3f}"
    )
