"""`moc-studio routing`: what each shot of a film remembered from which earlier one."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studio.cli import root

if TYPE_CHECKING:
    from studio.domain.inputs import TakeInputs
    from studio.inspect.words import ToldLink

FORMATS = ("words", "json", "csv", "npz", "parquet", "html")


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "routing",
        help="tell what each shot remembered from which earlier one",
        description="Tells, from the traces of a rendered film, how much of its attention each shot gave "
        "to which earlier shot. Tables and pages are written beside each other into --out, one a shot; their "
        "paths are printed.",
    )
    parser.add_argument("film", metavar="DIR|PROJECT", help="a folder that 'render' made, or a project")
    root.add_to(parser)
    parser.add_argument("--shot", type=int, metavar="N", help="only this shot, counted from 1")
    parser.add_argument("--format", choices=FORMATS, default="words", help="default: words")
    parser.add_argument("--json", action="store_const", const="json", dest="format", help="--format json")
    parser.add_argument(
        "--out", type=Path, default=Path(), metavar="DIR", help="where tables and pages go (default: here)"
    )
    parser.set_defaults(run=run)


@dataclass(frozen=True, kw_only=True)
class Film:
    """The takes a film shows by place, and the captions of all takes by id, shown or not."""

    takes: Mapping[int, Shown]
    captions: Mapping[str, str]

    @property
    def places(self) -> dict[str, int]:
        """Where each take stands; the first place of one that several shots show."""
        return {take.id: place for place, take in sorted(self.takes.items(), reverse=True)}


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A take in a film."""

    id: str
    caption: str
    inputs: TakeInputs
    trace: Path


def run(args: argparse.Namespace) -> int:
    from moc_engine.errors import TraceError
    from moc_engine.trace.record import RoutingTrace
    from studio.domain.errors import Refused, WrongUse

    film = _of_folder(Path(args.film)) if Path(args.film).is_dir() else _of_project(args)
    if args.shot is not None and args.shot - 1 not in film.takes:
        raise WrongUse(f"--shot: {args.film} holds no take of shot {args.shot}")
    if not film.takes:
        raise Refused(f"{args.film}: no shot is rendered yet")
    failed = False
    told: list[dict[str, object]] = []
    for place, take in sorted(film.takes.items()):
        if args.shot not in (None, place + 1):
            continue
        try:
            trace = RoutingTrace.load(take.trace)
        except TraceError as error:
            failed = True
            print(f"moc-studio: shot {place + 1}: {error}", file=sys.stderr)
            continue
        match args.format:
            case "words":
                _print_words(trace, place, take, film)
            case "json":
                told.append(_as_data(trace, place, take, film))
            case kind:
                print(_written(trace, place, kind, film, args.out))
    if args.format == "json":
        print(json.dumps({"shots": told}, indent=2, ensure_ascii=False))
    return 1 if failed else 0


def _of_folder(path: Path) -> Film:
    from studio.domain.errors import DamagedFolder
    from studio.exchange.takes import FilmFolder

    folder = FilmFolder(path)
    record, takes = folder.record(), folder.takes()
    if record is None:
        raise DamagedFolder(f"{path} holds no film (no film.json in it)")
    kept = {
        place: takes[choice.take]
        for place, choice in enumerate(record.shots)
        if choice.take in takes and not choice.skipped
    }
    shown = {
        place: Shown(id=take.id, caption=take.caption, inputs=take.inputs, trace=take.trace)
        for place, take in kept.items()
    }
    return Film(takes=shown, captions={take.id: take.caption for take in takes.values()})


def _of_project(args: argparse.Namespace) -> Film:
    with root.opened(args) as service:
        project = root.find(service, args.film)
        shown = {
            place: Shown(
                id=take.id,
                caption=take.caption,
                inputs=take.inputs,
                trace=service.artifacts.path(take.trace, ".moc"),
            )
            for place, take in service.routing.shown(project).items()
        }
        return Film(takes=shown, captions=service.routing.captions(project))


def _print_words(trace: Any, place: int, take: Shown, film: Film) -> None:
    from studio.inspect.words import in_words

    print(f"Shot {place + 1}: {take.caption}")
    for line in in_words(trace, take.inputs, film.places, film.captions):
        print(f"  {line}")


def _as_data(trace: Any, place: int, take: Shown, film: Film) -> dict[str, object]:
    from studio.inspect.words import paragraph, told_links

    return {
        "number": place + 1,
        "caption": take.caption,
        "take": take.id,
        "words": paragraph(trace, film.places),
        "own": trace.own_share(),
        "captions": trace.caption_share(),
        "links": [_link(link) for link in told_links(trace, film.places)],
    }


def _link(link: ToldLink) -> dict[str, object]:
    return {**asdict(link), "shot": None if link.shot is None else link.shot + 1}


def _written(trace: Any, place: int, kind: str, film: Film, out: Path) -> Path:
    """Writes one shot's table or page; returns its path."""
    from studio.inspect.figures import take_page
    from studio.inspect.tables import FORMATS as TABLES
    from studio.store.os_errors import os_errors_as_studio_errors

    with os_errors_as_studio_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"shot-{place + 1:02}.{kind}"
        if kind == "html":
            path.write_text(take_page(f"Shot {place + 1}", trace, film.places))
        else:
            path.write_bytes(TABLES[kind](trace))
    return path
