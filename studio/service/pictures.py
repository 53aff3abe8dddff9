"""The pictures of projects: first frames of shots, and pictures of the cast."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from moc_engine.files import scratch_folder
from studio.domain.errors import BadPicture, BadStoryboard, NotThere, errors_within
from studio.domain.file_types import PICTURE
from studio.domain.messages import message
from studio.domain.picture_name import PictureName, picture_name
from studio.domain.storyboard import Storyboard
from studio.store import artifact_rows, picture_rows, projects
from studio.store.artifacts import Artifact, ArtifactFile, Artifacts
from studio.store.clip_file import jpeg, png, scaled
from studio.store.database import Database
from studio.store.filmstrip import HEIGHT
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
        """Keeps a picture for a project; returns its digest. Raises `BadPicture`, `NotThere`."""
        with self._database.read() as session:
            projects.refuse_trashed(session, project)
        with os_errors_as_studio_errors(self._root), scratch_folder(self._root / "scratch") as folder:
            picture = folder / f"picture{PICTURE}"
            picture.write_bytes(png(read_picture(file)))
            return artifact_rows.stored(self._artifacts, [picture], partial(self._note, project))

    def _note(self, project: str, artifacts: list[Artifact]) -> str:
        """Adds a picture that was stored to a project; returns its digest."""
        (artifact,) = artifacts
        with self._database.write(project=project) as session:
            projects.refuse_trashed(session, project)
            artifact_rows.keep(session, self._artifacts, artifacts, self._clock())
            picture_rows.keep(session, project, artifact.digest, self._clock())
        return artifact.digest

    def file(self, project: str, digest: str) -> ArtifactFile:
        """A picture of a project, PNG. Raises `NotThere`."""
        with self._database.read() as session:
            if not picture_rows.is_kept(session, project, digest):
                raise NotThere(message("file-not-found"))
        return self._artifacts.file(digest, PICTURE)

    def thumbnail(self, project: str, digest: str) -> bytes:
        """A picture of a project as a small JPEG. Raises `NotThere`, and `BadPicture` if it is damaged."""
        with self.file(project, digest).local() as file:
            return jpeg(scaled(read_picture(file), HEIGHT))

    def with_files_read(self, board: Storyboard, project: str | None) -> Storyboard:
        """The storyboard with the picture files that it names kept for a project, or only read where None.

        Raises `BadStoryboard` for a shot or a cast member whose picture cannot be read.
        """
        shots, cast = [], []
        for index, shot in enumerate(board.shots):
            with errors_within("shots", index, "first_frame"):
                shots.append(replace(shot, first_frame=self._read(shot.first_frame, project)))
        for index, member in enumerate(board.cast):
            with errors_within("cast", index, "picture"):
                cast.append(replace(member, picture=self._read(member.picture, project)))
        return replace(board, shots=tuple(shots), cast=tuple(cast))

    def _read(self, text: str | None, project: str | None) -> str | None:
        """The name of a picture whose file was read; any other text as it is."""
        named = None if text is None else picture_name(text)
        if named is None or named.kind != "file":
            return text
        file = Path(named.name)
        try:
            if project is None:
                digest = hashlib.sha256(png(read_picture(file))).hexdigest()
            else:
                digest = self.add(project, file)
        except BadPicture as error:
            raise BadStoryboard(error.message) from error
        return str(PictureName(kind="picture", name=digest))
