"""`moc-studio artifacts move`: takes a studio's files to another place."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from studio.cli import root
from studio.cli.projects import size_in_words
from studio.domain.errors import WrongUse


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser("artifacts", help="take a studio's clips and latents to another place")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    move = actions.add_parser(
        "move",
        help="copy all files, and keep them there from now on",
        description="Copies every file that a take or a project has to a folder or to object storage, checks "
        "each, and notes that the studio keeps its files there. Interrupted, it goes on where it ended. The "
        "old files stay. Stop serve and workers before, and start them with the new --artifacts afterwards.",
    )
    root.add_to(move)
    move.add_argument("url", metavar="URL", help="a folder, or s3://BUCKET/PREFIX")
    move.set_defaults(run=run_move)


def run_move(args: argparse.Namespace) -> int:
    from studio.worker.artifact_options import ArtifactOptions

    with root.opened(args) as service:
        target = ArtifactOptions(place=args.url, cache=args.artifact_cache).opened(args.root)
        if str(target) == str(service.artifacts):
            raise WrongUse(f"the files are in {target} already")
        moved = service.storage.move_artifacts(target, _tell)
    for name in moved.missing:
        print(f"{name} was missing before", file=sys.stderr)
    print(f"{moved.files} files ({size_in_words(moved.bytes)}) are in {target}")
    return 0


def _tell(done: int, count: int) -> None:
    if done % 100 == 0:
        print(f"{done} of {count} files", file=sys.stderr)
