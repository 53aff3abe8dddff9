"""`moc-studio render`: renders a storyboard file, or a project of a studio."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from moc_engine.collection import collection_suspended
from studio.cli import root
from studio.domain.errors import BadStoryboard, WrongUse, errors_within
from studio.domain.project import LANES
from studio.worker.renderers import RendererOptions

if TYPE_CHECKING:
    from studio.domain.storyboard import Storyboard

_FILE_OPTIONS: Final = ("out", "seed", "steps", "size", "fps", "top_k", "full_below", "model", "resume")


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "render",
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
        help="only print which shots would be rendered, and the expected time",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    file = parser.add_argument_group("for a file")
    file.add_argument("--out", type=Path, metavar="DIR", help="the film's folder (default: runs/TITLE)")
    file.add_argument(
        "--resume", action="store_true", help="render only shots that are missing from DIR or outdated"
    )
    file.add_argument("--seed", type=int, metavar="N", help="seed of the film, from which its shots' follow")
    file.add_argument("--steps", type=int, metavar="N", help="denoising steps")
    file.add_argument("--size", metavar="WxH", help="frame size in pixels")
    file.add_argument("--fps", metavar="N", help="frames per second, such as 24, 23.976 or 30000/1001")
    file.add_argument(
        "--top-k", type=int, metavar="N", help="chunks of earlier shots that each token attends to"
    )
    file.add_argument(
        "--full-below",
        metavar="N|auto",
        help="a shot that can attend to fewer than N tokens, its own included, attends to all of them; "
        "0: never; auto: where that is faster",
    )
    file.add_argument("--model", metavar="DIR|HUB_ID", help="another model than the embedded one")
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

    board = _with_options(read_storyboard(args.file), args)
    only = parse_shots(args.shots, board)
    with collection_suspended():
        from studio.cli.render_file import render_file

    return render_file(board, only, args)


def _check_options(args: argparse.Namespace) -> None:
    """Raises `WrongUse` for options that would be ignored."""
    if (args.file is None) == (args.project is None):
        raise WrongUse("render a FILE.yaml or, with --project, what is in a studio")
    if args.project is not None:
        values = {name: getattr(args, name) for name in _FILE_OPTIONS}
        given = [name for name, value in values.items() if value is not None and value is not False]
        if given == ["resume"]:
            raise WrongUse("--resume is for files; of a project, only outdated shots are rendered anyway")
        if given:
            raise WrongUse(f"--{given[0].replace('_', '-')} is for files; a project has its own settings")
    elif args.lane is not None:
        raise WrongUse("--lane is for projects; a file's shots are rendered with the film's model")
    elif root.is_given(args):
        raise WrongUse("--root is for projects; a file is rendered into --out")


def _with_options(board: Storyboard, args: argparse.Namespace) -> Storyboard:
    """The storyboard with the settings of the command line in place of its own."""
    from studio.domain.frame_rate import parse_rate
    from studio.domain.settings import parse_full_below
    from studio.domain.storyboard import parse_size

    settings: dict[str, Any] = {"steps": args.steps, "top_k": args.top_k, "model": args.model}
    film: dict[str, Any] = {"seed": args.seed}
    try:
        if args.full_below is not None:
            with errors_within("full_below"):
                settings["full_below"] = parse_full_below(args.full_below)
        if args.size is not None:
            with errors_within("size"):
                film["size"] = parse_size(args.size)
        if args.fps is not None:
            with errors_within("fps"):
                film["fps"] = parse_rate(args.fps)
        board = replace(board, **{name: value for name, value in film.items() if value is not None})
        chosen = {name: value for name, value in settings.items() if value is not None}
        return replace(board, settings=replace(board.settings, **chosen))
    except BadStoryboard as error:
        raise WrongUse(f"--{str(error.field[-1]).replace('_', '-')}: {error}") from error
