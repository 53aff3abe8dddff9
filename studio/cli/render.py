"""`moc-studio render`: a storyboard file in, a film out."""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.cli import root
from studio.cli.interrupts import cancelled_by_signals
from studio.domain.errors import BadStoryboard, Interrupted, WrongUse

if TYPE_CHECKING:
    from studio.domain.storyboard import Storyboard


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "render",
        help="make a film of a storyboard",
        description="Renders a storyboard shot by shot and joins the shots. Each shot is kept in DIR as "
        "soon as it is done; the film's path is printed at the end.",
    )
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE.yaml", help="the storyboard")
    parser.add_argument("--project", metavar="ID|TITLE", help="a project of a studio instead of a file")
    root.add_to(parser)
    parser.add_argument("--out", type=Path, metavar="DIR", help="the film's folder (default: runs/TITLE)")
    parser.add_argument("--shots", metavar="1,3-5", help="render only these; others stay as they are in DIR")
    parser.add_argument("--seed", type=int, metavar="N", help="another seed for the film")
    parser.add_argument("--steps", type=int, metavar="N", help="denoising steps")
    parser.add_argument("--size", metavar="WxH", help="frame size in pixels")
    parser.add_argument("--fps", metavar="N", help="frames per second, such as 24, 23.976 or 30000/1001")
    parser.add_argument("--top-k", type=int, metavar="N", help="chunks of the past each token looks at")
    parser.add_argument("--model", metavar="DIR|HUB_ID", help="another model than the embedded one")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done and how long it takes")
    parser.add_argument("--resume", action="store_true", help="render only what is missing or outdated")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from studio.exchange.yaml import read_storyboard

    if (args.file is None) == (args.project is None):
        raise WrongUse("render a FILE.yaml or, with --project, what is in a studio")
    if args.project is not None:
        return _render_project(args)
    board = _overridden(read_storyboard(args.file), args)
    only = _chosen_shots(args.shots, board)
    return _render(board, only, args)


def _render_project(args: argparse.Namespace) -> int:
    """Renders a project's due shots, or the chosen ones, in this process."""
    from studio.cli.work import work_off

    set_there = ("out", "seed", "steps", "size", "fps", "top_k", "model")
    given = [name for name in set_there if getattr(args, name) is not None]
    if given:
        raise WrongUse(f"--{given[0].replace('_', '-')} is for files; a project has its own settings")
    with root.opened(args) as service:
        project = root.find(service, args.project)
        shots = service.projects.state(project).shots
        chosen = _chosen_shots(args.shots, service.projects.storyboard(project))
        scope = "due" if chosen is None else [shots[index].id for index in sorted(chosen)]
        planned = service.rendering.plan(project, scope)
        if args.dry_run or not planned:
            if args.json:
                print(json.dumps([asdict(shot) for shot in planned], indent=2, ensure_ascii=False))
            else:
                for shot in planned:
                    print(f"{shot.place + 1:>4}  {'; '.join(shot.reasons)}  (~{shot.seconds:.0f} s)")
                print(f"{len(planned)} of {len(shots)} shots to render", file=sys.stderr)
            return 0
        done = work_off(service, service.rendering.render(project, scope), args.make_renderer)
        takes: dict[str | None, str | None] = {
            shot.id: shot.take for shot in service.projects.state(project).shots
        }
    if args.json:
        print(json.dumps([asdict(job) for job in done], indent=2, ensure_ascii=False))
    else:
        for job in done:
            print(f"{'' if job.place is None else job.place + 1}\t{job.state}\t{takes.get(job.shot) or ''}")
    return 0 if all(job.state == "done" for job in done) else 1


def _render(board: Storyboard, only: frozenset[int] | None, args: argparse.Namespace) -> int:
    from moc_engine.errors import RenderCancelled
    from moc_engine.vocabulary import characters_per_shot
    from studio.cli import render_output
    from studio.cli.progress import follow
    from studio.domain.file_names import slug
    from studio.domain.film_plan import plan
    from studio.exchange.takes import FilmFolder
    from studio.jobs.estimate import measured
    from studio.service.film import assemble, check_formats, shoot
    from studio.service.unknown_words import find_unknown_words
    from studio.store.model_identity import ANIMATIC, family, identify
    from studio.store.os_errors import os_errors_as_studio_errors

    folder = FilmFolder(args.out or Path("runs") / slug(board.title))
    finished = folder.takes()
    record = folder.record()
    planned = plan(
        board,
        identify(args.model),
        finished=finished,
        chosen=record.shots if record else (),
        only=only,
        resume=args.resume,
    )
    check_formats(planned, finished)
    animatic = family(args.model) == ANIMATIC
    unknown = list(find_unknown_words(board)) if animatic else []
    rates = measured(finished.values())
    render_output.unknown_words(unknown, sys.stderr)
    if args.dry_run:
        render_output.plan(planned, rates, unknown, sys.stdout, as_json=args.json)
        return 0
    render_output.notes(
        board,
        planned,
        finished,
        folder,
        sys.stderr,
        most_cast=characters_per_shot() if animatic else None,
        passing=args.seed is not None and only is not None,
    )
    with os_errors_as_studio_errors(folder.root):
        folder.tidy()
    with cancelled_by_signals() as cancel:
        shooting = shoot(board, planned, folder, lambda: args.make_renderer(args.model), cancel)
        try:
            takes = follow(shooting, planned, rates)
        except RenderCancelled as error:
            raise Interrupted(
                f"interrupted; the shots done so far are in {folder.root}, --resume renders the others"
            ) from error
        film = assemble(board, planned, takes, folder)
    render_output.film(film, planned, unknown, sys.stdout, as_json=args.json)
    return 0


def _overridden(board: Storyboard, args: argparse.Namespace) -> Storyboard:
    """The storyboard with the settings of the command line in place of its own."""
    from studio.domain.frame_rate import parse_rate
    from studio.domain.storyboard import parse_size

    settings = {"steps": args.steps, "top_k": args.top_k}
    film = {"seed": args.seed}
    try:
        if args.size is not None:
            board = replace(board, size=parse_size(args.size))
        if args.fps is not None:
            board = replace(board, fps=parse_rate(args.fps))
        board = replace(board, **{name: value for name, value in film.items() if value is not None})
        chosen = {name: value for name, value in settings.items() if value is not None}
        return replace(board, settings=replace(board.settings, **chosen))
    except BadStoryboard as error:
        option = str(error.field[-1]).replace("_", "-") if error.field else "size"
        raise WrongUse(f"--{option}: {error}") from error


def _chosen_shots(text: str | None, board: Storyboard) -> frozenset[int] | None:
    """ "1,3-5" -> {0, 2, 3, 4}."""
    from studio.exchange.plain_yaml import shown

    if text is None:
        return None
    chosen: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?", part)
        if match is None:
            raise WrongUse(f"--shots: numbers and ranges such as 1,3-5 are wanted, got '{shown(text)}'")
        first, last = int(match[1]), int(match[2] or match[1])
        if not 1 <= first <= last <= len(board.shots):
            raise WrongUse(f"--shots: the storyboard has shots 1–{len(board.shots)}, got '{part.strip()}'")
        chosen.update(range(first - 1, last))
    skipped = [index for index in sorted(chosen) if board.shots[index].skip]
    if skipped:
        raise WrongUse(f"--shots: shot {skipped[0] + 1} is skipped in the storyboard")
    return frozenset(chosen)
