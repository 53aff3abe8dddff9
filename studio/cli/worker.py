"""`moc-studio worker`: carries out the jobs of a studio, beside those that `serve` carries out."""

from __future__ import annotations

import argparse
from typing import Any

from studio.cli import root
from studio.domain.errors import WrongUse
from studio.worker.options import add_options


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "worker",
        help="carry out the studio's jobs",
        description="Takes jobs from the studio's queue and renders them until it is told to end (Ctrl-C). "
        "Any number of workers may do so at a time.",
    )
    root.add_to(parser)
    add_options(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from studio.worker import process

    if args.database is None and not args.root.is_dir():
        raise WrongUse(f"--root {args.root}: there is no such folder; moc-studio serve makes a studio")
    return process.run(args, args.make_renderer)
