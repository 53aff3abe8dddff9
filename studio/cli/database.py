"""`moc-studio database`: where a studio's rows are, and a move of them to another database."""

from __future__ import annotations

import argparse
import hashlib
import sys
from typing import TYPE_CHECKING, Any

from studio.cli import root
from studio.domain.errors import DamagedFolder, WrongUse

if TYPE_CHECKING:
    from studio.service.studio import Service


def add_to(subparsers: Any) -> None:
    parser = subparsers.add_parser("database", help="show or move the database of a studio")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    status = commands.add_parser("status", help="say where the database is and what it holds")
    root.add_to(status)
    status.set_defaults(run=run_status)
    move = commands.add_parser(
        "move",
        help="copy the studio's rows into another database",
        description="Copies all rows into an empty database, and compares both row by row and the studio's "
        "files with what the rows say of them. It may be interrupted and begun again. The studio is opened "
        "with the new one by --database or MOC_STUDIO_DATABASE afterwards; the old one stays as it is.",
    )
    root.add_to(move)
    move.add_argument("target", metavar="URL", help="postgresql://… or sqlite:///FILE")
    move.set_defaults(run=run_move)


def run_status(args: argparse.Namespace) -> int:
    from studio.store.database_url import shown

    with root.opened(args) as service:
        print(shown(service.database.url))
        print(f"{len(service.projects.all())} projects, {len(service.queue.state().jobs)} jobs")
    return 0


def run_move(args: argparse.Namespace) -> int:
    from studio.store.database_move import move_database
    from studio.store.database_url import database_url, shown
    from studio.store.upgrade import open_database

    if database_url(args.target, args.root) == database_url(args.database, args.root):
        raise WrongUse("the studio's rows are in that database already")
    with root.opened(args) as service:
        target = open_database(args.root, args.target, moving=True)
        try:
            rows = move_database(service.database, target, _tell)
            files = _check_files(service)
        finally:
            target.close()
    print(f"{rows} rows are in {shown(target.url)}, and {files} files are as they say", file=sys.stderr)
    print(f"open the studio with --database or {root.DATABASE} from now on", file=sys.stderr)
    return 0


def _tell(table: str, rows: int) -> None:
    print(f"{table}: {rows} rows", file=sys.stderr)


def _check_files(service: Service) -> int:
    """Reads the files that rows name; returns how many there are. Raises `DamagedFolder`."""
    from studio.store import artifact_rows

    with service.database.read() as session:
        noted = artifact_rows.noted(session)
    for artifact in noted:
        name = f"{artifact.digest}{artifact.suffix}"
        if service.artifacts.size(artifact.digest, artifact.suffix) != artifact.bytes:
            raise DamagedFolder(f"the file {name} is missing or damaged; the rows were moved")
        stored = service.artifacts.file(artifact.digest, artifact.suffix)
        with stored.local() as path, path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != artifact.digest:
                raise DamagedFolder(f"the file {name} is missing or damaged; the rows were moved")
    return len(noted)
