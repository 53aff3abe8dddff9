"""`moc-studio render`: renders a storyboard file, or a project of a studio."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from moc_engine.collection import collection_suspended
from studio.cli import film_settings, root
from studio.domain.errors import WrongUse
from studio.domain.project import LANES
from studio.domain.schedule import MOST_WORKERS
from studio.worker.renderers import RendererOptions


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "render",
        usage="%(prog)s [options] FILE.yaml\n       %(prog)s [options] --project ID|TITLE",
        help="render a storyboard file, or a project",
        description="Renders the shots of a storyboard file and joins them into a film. The film, its "
        "subtitles, a contact sheet and each shot's take are written into DIR, a take as soon as it is "
        "finished; the film's path is printed at the end. With --project, renders the outdated shots of a "
        "project instead; 'export' then writes its film.",
    )
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE.yaml", help="the storyboard")
    parser.add_argument(
        "--shots", metavar="1,3-5", help="render only these shots; the others keep their takes"
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="render nothing: print which shots would be rendered, the expected time, the memory needed, and "
        "what would go wrong (exit code 1 if anything would)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="with --dry-run: tell the time that N workers take ('serve --workers N' starts them)",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    file = parser.add_argument_group("for a file")
    file.add_argument("--out", type=Path, metavar="DIR", help="the film's folder (default: runs/TITLE)")
    file.add_argument(
        "--resume", action="store_true", help="render only shots that are missing from DIR or outdated"
    )
    film_settings.add_to(parser)
    project = parser.add_argument_group("for a project")
    project.add_argument("--project", metavar="ID|TITLE", help="the project to render")
    project.add_argument(
        "--lane",
        choices=LANES,
        help="render drafts, with the project's draft model, or finals, with the film's model "
        "(default: those that the project works on)",
    )
    root.add_to(project)
    RendererOptions.add_to(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from studio.cli.shot_numbers import parse_shots

    _check_options(args)
    if args.project is not None:
        from studio.cli.render_project import render_project

        return render_project(args)
    from studio.exchange.yaml_reader import read_storyboard

    board = film_settings.with_options(read_storyboard(args.file), args)
    only = parse_shots(args.shots, board)
    with collection_suspended():
        from studio.cli.render_file import render_file

    return render_file(board, only, args)


def _check_options(args: argparse.Namespace) -> None:
    """Raises `WrongUse` for options that would be ignored."""
    if (args.file is None) == (args.project is None):
        raise WrongUse("render a FILE.yaml or, with --project, what is in a studio")
    if args.workers is not None and not args.dry_run:
        raise WrongUse(
            "--workers tells the time of a --dry-run; 'moc-studio serve --workers N' starts workers"
        )
    if args.workers is not None and not 1 <= args.workers <= MOST_WORKERS:
        raise WrongUse(f"--workers: must lie within 1–{MOST_WORKERS}, got {args.workers}")
    if args.project is not None:
        given = [name for name in ("out", "resume") if getattr(args, name)] + film_settings.given(args)
        if given == ["resume"]:
            raise WrongUse("--resume is for files; of a project, only outdated shots are rendered anyway")
        if given:
            raise WrongUse(f"--{given[0].replace('_', '-')} is for files; a project has its own settings")
    elif args.lane is not None:
        raise WrongUse("--lane is for projects; a file's shots are rendered with the film's model")
    elif option := root.given(args):
        raise WrongUse(f"{option} is for projects; a file is rendered into --out")
