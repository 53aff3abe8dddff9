"""`moc-studio routing`: what each shot of a film remembered from which earlier one."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any


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
    from dataclasses import asdict

    from moc_engine.errors import TraceError
    from moc_engine.trace import RoutingTrace
    from studio.errors import WrongUse
    from studio.routing_words import in_words, told_links
    from studio.takes import FilmFolder

    folder = FilmFolder(args.folder)
    captions = {int(shot["number"]) - 1: str(shot["caption"]) for shot in folder.record()["shots"]}
    takes = folder.takes()
    chosen = {shot: takes[take] for shot, take in folder.chosen().items() if take in takes}
    if args.shot is not None:
        if args.shot - 1 not in chosen:
            raise WrongUse(f"--shot: {args.folder} holds no take of shot {args.shot}")
        chosen = {args.shot - 1: chosen[args.shot - 1]}
    told: list[dict[str, object]] = []
    failed = False
    for shot, take in chosen.items():
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
                    "caption": captions.get(shot),
                    "take": take.id,
                    "own": trace.own_share(),
                    "captions": trace.caption_share(),
                    "links": [{**asdict(link), "shot": link.shot + 1} for link in told_links(trace)],
                }
            )
        else:
            print(in_words(trace, captions))
    if args.json:
        print(json.dumps({"shots": told}, indent=2, ensure_ascii=False))
    return 1 if failed else 0
