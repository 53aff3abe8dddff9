"""Writes a project's film and takes into a folder for people, outside the studio's own files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from moc_engine.files import scratch_folder
from studio.domain.cut import cut_of, without_missing
from studio.domain.errors import NotThere
from studio.domain.messages import message
from studio.exchange.exports import CutClip
from studio.exchange.film_folder import FilmFiles, write_film, write_take
from studio.exchange.old_film_folder import read_old_film_folder
from studio.service.project_files import ProjectFiles
from studio.store import projects, takes
from studio.store.artifacts import Artifacts
from studio.store.database import Database
from studio.store.os_errors import os_errors_as_studio_errors


@dataclass(frozen=True, kw_only=True)
class WrittenFilm:
    """A film that was written, and its clips with their files by kind."""

    files: FilmFiles
    clips: tuple[tuple[CutClip, Mapping[str, Path]], ...]


class FilmFolders:
    """Writes films and takes into folders. Raises `OutputFailed` if they cannot be written."""

    def __init__(self, root: Path, database: Database, artifacts: Artifacts, files: ProjectFiles) -> None:
        self._root = root
        self._database = database
        self._artifacts = artifacts
        self._files = files

    def import_old(self, folder: Path) -> str:
        """Makes a project of a folder that version 0.1 filled; returns its id. Raises `DamagedFolder`."""
        with os_errors_as_studio_errors(self._root), scratch_folder(self._root / "scratch") as scratch:
            return self._files.import_record(*read_old_film_folder(folder, scratch))

    def remove_damaged_takes(self, project: str) -> list[str]:
        """Removes takes whose files are missing or cut; their shots are then missing. Returns their ids."""
        with self._database.write() as session:
            return takes.remove_damaged(session, project, self._artifacts)

    def write_take(self, project: str, number: int, take: str, folder: Path) -> Mapping[str, Path]:
        """Writes the files of a take of the shot with this number, from 1. Raises `NotThere`."""
        with self._database.read() as session:
            known = takes.take_of(session, project, take)
        if known is None:
            raise NotThere(message("take-not-found"))
        with os_errors_as_studio_errors(folder):
            return write_take(folder, number, known, self._artifacts)

    def write_film(self, project: str, folder: Path) -> WrittenFilm:
        """Writes the film of all shots that have a take. Raises `Refused` if they do not fit together."""
        with self._database.read() as session:
            found, known = projects.project_of(session, project), takes.takes_of(session, project)
        clips = cut_of(without_missing(found, known), known)
        with os_errors_as_studio_errors(folder):
            files = write_film(folder, found, clips, self._artifacts)
            written = tuple(
                (clip, write_take(folder, clip.number, clip.take, self._artifacts)) for clip in clips
            )
        return WrittenFilm(files=files, clips=written)
