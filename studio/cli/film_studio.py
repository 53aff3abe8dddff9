"""The studio within a film's folder, which renders storyboard files."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from moc_engine.errors import FolderInUse
from moc_engine.files import remove_abandoned
from moc_engine.sole_use import sole_use
from studio.domain.errors import Refused
from studio.domain.storyboard import Storyboard
from studio.exchange.film_folder import STUDIO
from studio.exchange.old_film_folder import is_old_film_folder
from studio.service.needs import RenderingMemory
from studio.service.studio import Service
from studio.store.artifact_place import artifacts_at
from studio.store.database_url import FILE
from studio.store.os_errors import os_errors_as_studio_errors
from studio.store.upgrade import back_up, open_database


@dataclass(frozen=True, kw_only=True)
class FilmStudio:
    """The studio of a film's folder; `project` is the film's, None if nothing was rendered there yet."""

    service: Service
    project: str | None
    change: bool

    def put(self, board: Storyboard) -> tuple[str, frozenset[str]]:
        """Makes the storyboard that of the film's project; its shots keep the takes of those they match.

        Returns the project, and the ids of shots that are back at an earlier take of theirs.
        """
        project, pictures = self.project, self.service.pictures
        if project is None:
            project = self.service.projects.create(board)
            if board == (read := pictures.with_files_read(board, project if self.change else None)):
                return project, frozenset()
            return project, self.service.editing.replace_storyboard(project, read)
        self.service.film_folders.remove_damaged_takes(project)
        board = pictures.with_files_read(board, project if self.change else None)
        return project, self.service.editing.replace_storyboard(project, board)


def holds_film(folder: Path) -> bool:
    """Whether a folder was filled by `moc-studio render FILE`, of this version or the one before."""
    return (folder / STUDIO / FILE).is_file() or is_old_film_folder(folder)


@contextmanager
def opened(folder: Path, *, change: bool, memory: RenderingMemory | None = None) -> Iterator[FilmStudio]:
    """The studio of a film's folder, a new one if there is none; it holds what version 0.1 rendered there.

    Without `change` the folder stays as it is: the studio is a copy that is thrown away. A new studio is
    removed again if nothing was rendered. `memory` is what renders may use, by which needs are predicted.
    Raises `Refused` while another process renders into the folder.
    """
    root = folder / STUDIO
    new = not (root / FILE).is_file()
    with tempfile.TemporaryDirectory(prefix="moc-studio-") as temporary:
        scratch = Path(temporary)
        if not change:
            if not new:
                with os_errors_as_studio_errors(scratch):
                    back_up(root / FILE, scratch).rename(scratch / FILE)
            with _service(scratch, scratch if new else root, memory) as service:
                yield _film(service, folder, change=change)
            return
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
        with _only_user(root, folder):
            for left in (root / "scratch", folder, *(folder / "takes").glob("*")):
                remove_abandoned(left)
            try:
                with _service(root, root, memory) as service:
                    yield _film(service, folder, change=change)
            finally:
                if new and artifacts_at(root).is_empty():
                    shutil.rmtree(root, ignore_errors=True)
                    with suppress(OSError):  # not empty
                        for path in missing:
                            path.rmdir()


@contextmanager
def _only_user(root: Path, folder: Path) -> Iterator[None]:
    """Keeps other processes from rendering into the folder meanwhile: its project and queue are for one.

    Raises `Refused` where one does so already, `OutputFailed` where the folder cannot be written.
    """
    refusal = f"another process is rendering into {folder}; wait for its end, or choose another --out"
    with ExitStack() as stack:
        with os_errors_as_studio_errors(root):
            try:
                stack.enter_context(sole_use(root / "users", refusal))
            except FolderInUse as error:
                raise Refused(refusal) from error
        yield


def _film(service: Service, folder: Path, *, change: bool) -> FilmStudio:
    """The studio with the film's project, which is the first one made in it."""
    projects = [project for project in service.projects.all() if project.trashed is None]
    if projects:
        return FilmStudio(service=service, project=projects[-1].id, change=change)
    imported = service.film_folders.import_old(folder) if is_old_film_folder(folder) else None
    return FilmStudio(service=service, project=imported, change=change)


@contextmanager
def _service(database: Path, artifacts: Path, memory: RenderingMemory | None) -> Iterator[Service]:
    opened = open_database(database)
    try:
        yield Service(artifacts, opened, rendering=memory)
    finally:
        opened.close()
