"""`moc-studio eval scale`: simulates studios of many workers and films."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from typing import Any

from studio.cli.evaluation import add_json, without_nan
from studio.domain.errors import WrongUse

WORKERS = (1, 10, 100, 1000)
FILMS = (10, 100, 1000, 10_000)
STATEMENT_MS = (1.0, 5.0, 20.0)


def add_to(kinds: Any) -> None:
    parser = kinds.add_parser(
        "scale",
        help="simulate a studio of up to 1,000 workers and 10,000 films",
        description="Simulates workers, a queue, a database and object storage event by event, with the "
        "rules and the numbers of statements of this version, and tells how many shots are rendered, how "
        "long they wait, and what gives out first. A film's shots are rendered one after the other; then it "
        "is looked at for an hour and rendered anew. Nothing is rendered.",
    )
    _add_numbers(parser, "--workers", WORKERS, int, "numbers of workers")
    _add_numbers(parser, "--films", FILMS, int, "numbers of films")
    _add_numbers(
        parser, "--statement-ms", STATEMENT_MS, float, "milliseconds that the database takes for one"
    )
    for name, default, meaning in (
        ("connections", 100, "transactions that the database runs at a time"),
        ("writes", 2000.0, "transactions that write which it begins a second"),
        ("shot-seconds", 60.0, "the mean time of rendering a shot"),
        ("poll-seconds", 0.25, "the time after which a worker without a job asks again"),
        ("measured", 1000, "the shots that are measured of each, fewer where that takes long"),
    ):
        parser.add_argument(
            f"--{name}",
            type=type(default),
            default=default,
            metavar="N",
            help=f"{meaning} (default: {default:g})",
        )
    parser.add_argument(
        "--notified", action="store_true", help="workers are told of new jobs, and ask for one at once"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def _add_numbers(parser: Any, name: str, default: tuple[float, ...], kind: Any, meaning: str) -> None:
    told = " ".join(f"{number:g}" for number in default)
    parser.add_argument(
        name, type=kind, nargs="+", default=default, metavar="N", help=f"{meaning} (default: {told})"
    )


def run(args: argparse.Namespace) -> int:
    from studio.scale.farm import Farm
    from studio.scale.measured import Measured
    from studio.scale.statements import count_statements
    from studio.scale.table import lines, measure, row

    try:
        farms = [
            Farm(
                workers=workers,
                films=films,
                statement_seconds=milliseconds / 1000,
                connections=args.connections,
                writes_per_second=args.writes,
                shot_seconds=args.shot_seconds,
                poll_seconds=args.poll_seconds,
                notified=args.notified,
            )
            for workers in args.workers
            for films in args.films
            for milliseconds in args.statement_ms
        ]
    except ValueError as error:
        raise WrongUse(str(error)) from error

    def notify(measured: Measured) -> None:
        if sys.stderr.isatty():
            print(" ".join(row(measured)), file=sys.stderr)

    statements = count_statements()
    found = measure(farms, statements, args.measured, notify)
    if args.json:
        told = [
            {
                **asdict(one.farm),
                "shots_per_hour": one.shots_per_second * 3600,
                "delay_p50": one.delay(0.5),
                "delay_p95": one.delay(0.95),
                "rendering": one.rendering,
                "connections_used": one.connections,
                "writes_used": one.writes,
                "files_per_second": one.requests_per_second,
                "lost": one.lost,
                "first_out": one.first_out,
            }
            for one in found
        ]
        print(json.dumps(without_nan({"statements": asdict(statements), "farms": told}), indent=2))
        return 0
    print("statements of a transaction: " + ", ".join(f"{k} {v}" for k, v in asdict(statements).items()))
    print("\n".join(lines([row(one) for one in found])))
    return 0
