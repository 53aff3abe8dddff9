"""`moc-studio eval remedy`: how often a drifted look is mended by remembering the right one alone."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from studio.domain.errors import wrong_option


def add_to(kinds: Any) -> None:
    parser = kinds.add_parser(
        "remedy",
        help="how often a drifted look is mended by remembering the right one alone",
        description="Renders long held-out stories shot by shot; wherever somebody looks different from what "
        "they should, pins the appearance that decides their look, bans their other ones, and renders the "
        "shot again at the same seed. A story of 32 shots takes about a minute.",
    )
    parser.add_argument("--model", type=Path, metavar="DIR", help="another model than the embedded one")
    parser.add_argument("--stories", type=int, default=12, metavar="N", help="default: 12")
    parser.add_argument("--shots", type=int, default=32, metavar="N", help="shots of a story (default: 32)")
    parser.add_argument("--cast", type=int, default=6, metavar="N", help="cast of a story (default: 6)")
    parser.add_argument(
        "--tokens", type=int, default=4, metavar="N", help="length of a shot in half seconds (default: 4)"
    )
    parser.add_argument("--seed", type=int, default=10_000, metavar="N", help="which stories")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument(
        "--save", type=Path, metavar="FILE", help="write it as JSON, for the studio to show beside its remedy"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from rich.console import Console
    from rich.progress import Progress

    from moc_engine.evaluation.examination import Examination
    from moc_engine.evaluation.questions.remedy import measure
    from moc_engine.render.renderer import ShotRenderer
    from studio.store.model_identity import identify
    from studio.store.os_errors import os_errors_as_studio_errors

    try:
        examination = Examination(
            stories=args.stories, shots=args.shots, cast=args.cast, tokens=args.tokens, seed=args.seed
        )
    except ValueError as error:
        raise wrong_option(error) from error
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("stories", total=examination.stories)
        found = measure(
            ShotRenderer(args.model),
            examination,
            report=lambda examined: bar.update(task, completed=examined),
        )
    model = identify(args.model and str(args.model))
    figures = json.dumps({"model": model, **asdict(found)}, indent=2)
    if args.save is not None:
        with os_errors_as_studio_errors(args.save):
            args.save.write_text(f"{figures}\n")
    if args.json:
        print(figures)
    else:
        print(
            f"{found.appearances} appearances with a look to keep, {found.drifted} looked different; "
            f"of {found.tried} that could see the right look {found.helped} were mended"
        )
    return 0
