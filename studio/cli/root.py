"""The options `--root` and `--database`: the studio that a command works on, its folder and its database."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from studio.domain.errors import WrongUse
from studio.worker.artifact_options import ArtifactOptions

if TYPE_CHECKING:
    from studio.service.needs import RenderingMemory
    from studio.service.studio import Service


DATABASE: Final = "MOC_STUDIO_DATABASE"
"""The environment variable with the URL of the database."""


def add_to(parser: Any) -> None:
    """Adds `--root`, `--database` and the options by which the studio's artifacts are found."""
    parser.add_argument(
        "--root",
        type=Path,
        action=_Noted,
        default=Path(os.environ.get("MOC_STUDIO_ROOT") or "projects"),
        metavar="DIR",
        help="the studio's folder (default: $MOC_STUDIO_ROOT, else projects)",
    )
    parser.add_argument(
        "--database",
        default=os.environ.get(DATABASE) or None,
        metavar="URL",
        help="its database, postgresql://… or sqlite:///FILE (default: $MOC_STUDIO_DATABASE, else a file in "
        "the folder)",
    )
    ArtifactOptions.add_to(parser, action=_Noted)


def given(args: argparse.Namespace) -> str | None:
    """The first option of these that is among the arguments, such as "--root"; None for defaults alone."""
    return getattr(args, "option_of_studio", None)


class _Noted(argparse.Action):
    """Stores a value, and which option it was given by."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        setattr(namespace, self.dest, values)
        namespace.option_of_studio = given(namespace) or self.option_strings[0]


_MEMORY: Final = ("profile", "context_memory", "context_host_memory")
"""Options of commands that render, by which needs are predicted."""


def rendering_memory(args: argparse.Namespace) -> RenderingMemory:
    """What a command's renders may use, by its options."""
    from studio.service.needs import RenderingMemory

    return RenderingMemory(**{name: vars(args)[name] for name in _MEMORY if name in args})


@contextmanager
def opened(args: argparse.Namespace, *, new: bool = False) -> Iterator[Service]:
    """Opens the studio in `--root`, with the database that is named.

    Raises `WrongUse` if there is none, unless it may be `new`; a database on a server may be.
    """
    from studio.service.studio import Service
    from studio.store import artifact_home
    from studio.store.database_url import database_url, file_of
    from studio.store.upgrade import open_database

    file = file_of(database_url(args.database, args.root))
    if not new and file is not None and not file.is_file():
        raise WrongUse(
            f"there is no studio in {args.root.absolute()}; name its folder by --root or MOC_STUDIO_ROOT "
            "(moc-studio serve or import makes a new one)"
        )
    database = open_database(args.root, args.database)
    try:
        artifacts = ArtifactOptions.of(args).opened(args.root)
        artifact_home.open_home(database, artifacts)
        yield Service(args.root, database, artifacts=artifacts, rendering=rendering_memory(args))
    finally:
        database.close()


def find(service: Service, wanted: str) -> str:
    """The id of the project with this id or title. Raises `WrongUse` if there is none, or several."""
    there = [project for project in service.projects.all() if project.trashed is None]
    found = [p.id for p in there if p.id == wanted] or [p.id for p in there if p.title == wanted]
    if not found:
        raise WrongUse(f"there is no project '{wanted}'; moc-studio projects lists them")
    if len(found) > 1:
        raise WrongUse(f"{len(found)} projects are called '{wanted}'; name one by its id: {', '.join(found)}")
    return found[0]
