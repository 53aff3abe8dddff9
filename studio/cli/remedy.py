"""`moc-studio eval remedy`: how often a drifted look is corrected by attending to the right appearance
only."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from studio.cli.evaluation import add_json, add_model, add_stories, progress
from studio.domain.errors import wrong_option


def add_to(kinds: Any) -> None:
    parser = kinds.add_parser(
        "remedy",
        help="how often a drifted look is corrected by attending to the right appearance only",
        description="Renders long held-out stories shot by shot. Where a character or set looks different "
        "from what it should, pins the appearance that determines its look, bans its other appearances, and "
        "renders the shot again with the same seed. A story of 32 shots takes about a minute.",
    )
    add_model(parser)
    add_stories(parser, stories=12, shots=32, cast=6, tokens=4)
    add_json(parser)
    parser.add_argument(
        "--save", type=Path, metavar="FILE", help="write the result as JSON, which the studio shows to users"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from moc_engine.evaluation.generation.settings import EvaluationSettings
    from moc_engine.evaluation.questions.remedy import measure
    from moc_engine.render.renderer import ShotRenderer
    from studio.store.model_identity import identify
    from studio.store.os_errors import os_errors_as_studio_errors

    try:
        evaluation = EvaluationSettings(
            stories=args.stories, shots=args.shots, cast=args.cast, tokens=args.tokens, seed=args.seed
        )
    except ValueError as error:
        raise wrong_option(error) from error
    with progress(evaluation.stories) as report:
        found = measure(ShotRenderer(args.model), evaluation, report=report)
    model = identify(args.model and str(args.model))
    figures = json.dumps({"model": model, **asdict(found)}, indent=2)
    if args.save is not None:
        with os_errors_as_studio_errors(args.save):
            args.save.write_text(f"{figures}\n")
    if args.json:
        print(figures)
    else:
        print(
            f"{found.appearances} appearances with a look to keep, {found.drifted} drifted; the remedy was "
            f"tried on {found.tried} and corrected {found.helped}"
        )
    return 0
