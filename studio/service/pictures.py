"""The pictures of projects, with which shots may start."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from moc_engine.files import scratch_folder
from moc_engine.stored_file import StoredFile
from studio.domain.errors import BadPicture, BadStoryboard, NotThere
from studio.domain.file_types import PICTURE
from studio.domain.first_frame import FirstFrame, first_frame
from studio.domain.messages import message
from studio.domain.storyboard import Shot, Storyboard
from studio.store import picture_rows, projects, takes
from studio.store.artifacts import Artifacts
from studio.store.clip_file import png
from studio.store.database import Database
from studio.store.os_errors import os_errors_as_studio_errors
from studio.store.picture_file import read_picture


class Pictures:
    """Keeps pictures as PNG files among the artifacts."""

    def __init__(
        self, root: Path, database: Database, artifacts: Artifacts, clock: Callable[[], float]
    ) -> None:
        self._root = root
        self._database = database
        self._artifacts = artifacts
        self._clock = clock

    def add(self, project: str, file: Path) -> str:
        """Keeps a picture for the shots of a project; returns its digest. Raises `BadPicture`, `NotThere`."""
        with self._database.read() as session:
            projects.refuse_trashed(session, project)
        with os_errors_as_studio_errors(self._root), scratch_folder(self._root / "scratch") as folder:
            picture = folder / f"picture{PICTURE}"
            picture.write_bytes(png(read_picture(file)))
            artifact = self._artifacts.put(picture)
        with self._database.write() as session:
            projects.refuse_trashed(session, project)
            takes.keep_artifacts(session, [artifact], self._clock())
            picture_rows.keep(session, project, artifact.digest, self._clock())
        return artifact.digest

    def file(self, project: str, digest: str) -> StoredFile:
        """A picture of a project, PNG. Raises `NotThere`."""
        with self._database.read() as session:
            if not picture_rows.is_kept(session, project, digest):
                raise NotThere(message("file-not-found"))
        return self._artifacts.file(digest, PICTURE)

    def with_files_read(self, board: Storyboard, project: str | None) -> Storyboard:
        """The storyboard with the picture files that it names kept for a project, or only read where None.

        Raises `BadStoryboard` for a shot whose picture cannot be read.
        """
        return replace(
            board, shots=tuple(self._with_file_read(shot, at, project) for at, shot in enumerate(board.shots))
        )

    def _with_file_read(self, shot: Shot, index: int, project: str | None) -> Shot:
        chosen = None if shot.first_frame is None else first_frame(shot.first_frame)
        if chosen is None or chosen.kind != "file":
            return shot
        file = Path(chosen.name)
        try:
            if project is None:
                digest = hashlib.sha256(png(read_picture(file))).hexdigest()
            else:
                digest = self.add(project, file)
        except BadPicture as error:
            raise BadStoryboard(error.message, ("shots", index, "first_frame")) from error
        return replace(shot, first_frame=str(FirstFrame(kind="picture", name=digest)))
