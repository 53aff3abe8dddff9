"""`moc-studio routing`: what each shot of a film remembered from which earlier one."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from studio.routing.words import ToldLink


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "routing",
        help="tell what each shot remembered from which earlier one",
        description="Tells, from the traces of a rendered film, how much of its attention each shot gave "
        "to which earlier shot.",
    )
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder that 'render' made")
    parser.add_argument("--shot", type=int, metavar="N", help="only this shot, counted from 1")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:

    from moc_engine.errors import TraceError
    from moc_engine.trace import RoutingTrace
    from studio.errors import DamagedFolder, WrongUse
    from studio.routing.words import in_words, told_links
    from studio.takes import FilmFolder

    folder = FilmFolder(args.folder)
    record, takes = folder.record(), folder.takes()
    if record is None:
        raise DamagedFolder(f"{args.folder} holds no film (no film.json in it)")
    film = {
        place: takes[choice.take]
        for place, choice in enumerate(record.shots)
        if choice.take in takes and not choice.skipped
    }
    places = {take.id: place for place, take in film.items()}
    captions = {take.id: take.caption for take in takes.values()}
    if args.shot is not None and args.shot - 1 not in film:
        raise WrongUse(f"--shot: {args.folder} holds no take of shot {args.shot}")
    told: list[dict[str, object]] = []
    failed = False
    for shot in film if args.shot is None else [args.shot - 1]:
        take = film[shot]
        try:
            trace = RoutingTrace.load(take.trace)
        except TraceError as error:
            failed = True
            print(f"moc-studio: shot {shot + 1}: {error}", file=sys.stderr)
            continue
        if args.json:
            told.append(
                {
                    "number": shot + 1,
                    "caption": take.caption,
                    "take": take.id,
                    "own": trace.own_share(),
                    "captions": trace.caption_share(),
                    "links": [_as_data(link) for link in told_links(trace, places)],
                }
            )
        else:
            print(in_words(trace, shot, film, captions))
    if args.json:
        print(json.dumps({"shots": told}, indent=2, ensure_ascii=False))
    return 1 if failed else 0


def _as_data(link: ToldLink) -> dict[str, object]:
    return {**asdict(link), "shot": None if link.shot is None else link.shot + 1}
