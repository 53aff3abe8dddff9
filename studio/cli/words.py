"""`moc-studio words`: lists the vocabulary of the embedded model."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from typing import Any


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "words",
        help="list the words the embedded model knows",
        description="Lists the words that the embedded model knows, by kind, each with its synonyms. "
        "Exit code 1 if the given word is unknown.",
    )
    parser.add_argument("word", nargs="?", help="only this kind, such as action or camera, or only this word")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from moc_engine.vocabulary import nearest_word, words

    kinds = words()
    if args.word is not None:
        kinds = {args.word: kinds[args.word]} if args.word in kinds else _meaning(kinds, args.word)
        if not kinds:
            near = nearest_word(args.word)
            like = f"; did you mean '{near}'?" if near else ""
            print(f"the embedded model does not know '{args.word}'{like}", file=sys.stderr)
            return 1
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


Kinds = dict[str, dict[str, tuple[str, ...]]]


def _meaning(kinds: Kinds, word: str) -> Kinds:
    """The entries whose word or synonyms include a word or phrase, by kind."""
    found: Kinds = {}
    for kind, entries in kinds.items():
        for entry, phrases in entries.items():
            if word.casefold() in (entry, *phrases):
                found.setdefault(kind, {})[entry] = phrases
    return found
