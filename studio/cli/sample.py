"""`moc-studio sample`: renders a sample film into a new studio."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, Final

from studio.cli import root

NAME: Final = "the-red-kite.yaml"


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "sample",
        help="render a sample film into a new studio",
        description="Renders a sample film into a studio without projects; leaves others as they are.",
    )
    root.add_to(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from studio.cli.work import work_off
    from studio.exchange.yaml_reader import read_storyboard

    with root.opened(args, new=True) as service:
        if service.projects.all():
            return 0
        print("Rendering the sample film, once; this takes a minute.", file=sys.stderr)
        project = service.projects.create(read_storyboard(_storyboard()))
        done = work_off(service, service.rendering.render(project, "all"), args.make_renderer)
        service.queue.clear()
    return 0 if all(job.state == "done" for job in done) else 1


def _storyboard() -> Path:
    """The sample storyboard: in `projects/examples` of a clone, in the package of an installation."""
    here = Path(__file__).parents[1]
    candidates = (here / "examples" / NAME, here.parent / "projects" / "examples" / NAME)
    return next(path for path in candidates if path.is_file())
