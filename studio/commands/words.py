"""`moc-studio words`: the vocabulary of the embedded model."""

from __future__ import annotations

import argparse
import json
import textwrap
from typing import Any


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "words",
        help="list the words the embedded model knows",
        description="Lists the words the embedded model knows, by kind, each with what means the same.",
    )
    parser.add_argument("kind", nargs="?", help="only this kind, such as action or camera")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from moc_engine.vocabulary import words
    from studio.errors import WrongUse

    kinds = words()
    if args.kind is not None:
        if args.kind not in kinds:
            raise WrongUse(f"there is no kind of word '{args.kind}'; kinds are {', '.join(kinds)}")
        kinds = {args.kind: kinds[args.kind]}
    if args.json:
        print(json.dumps(kinds, indent=2, ensure_ascii=False))
        return 0
    for number, (kind, entries) in enumerate(kinds.items()):
        print(f"{'' if number == 0 else chr(10)}{kind}")
        for word, phrases in entries.items():
            others = ", ".join(phrase for phrase in phrases if phrase != word)
            lines = textwrap.wrap(others, width=72) or [""]
            print(f"  {word:<12}{lines[0]}".rstrip())
            for line in lines[1:]:
                print(f"{'':14}{line}")
    return 0
