"""Files of projects: the media of takes, exports, bundles and backups."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from moc_engine.files import scratch_folder
from moc_engine.stored_file import StoredFile
from studio.domain.cut import cut_of
from studio.domain.errors import (
    BadBundle,
    BadPicture,
    BadRecipe,
    BadStoryboard,
    DamagedClip,
    NotThere,
    Refused,
)
from studio.domain.file_names import slug
from studio.domain.file_types import BUNDLE, EXPORT_FILES, PICTURE, TAKE_FILES
from studio.domain.messages import message
from studio.domain.named_pictures import picture_digests
from studio.domain.project import Project
from studio.exchange.bundle import read_bundle, write_bundle
from studio.exchange.exports import write_export
from studio.exchange.mp4 import attached_pictures, recipe_in
from studio.exchange.recipe import read_recipe
from studio.service.uploads import Upload
from studio.store import artifact_rows, picture_rows, projects, takes
from studio.store.artifacts import Artifact, ArtifactFile, Artifacts
from studio.store.clip_file import jpeg, picture_at
from studio.store.database import Database
from studio.store.database_url import file_of, shown
from studio.store.documents import from_document, to_document
from studio.store.filmstrip import HEIGHT
from studio.store.model_identity import ModelIdentities
from studio.store.os_errors import os_errors_as_studio_errors
from studio.store.picture_file import read_picture
from studio.store.take_renaming import current_models, renamed_bundle
from studio.store.takes import StoredTake
from studio.store.upgrade import back_up


class ProjectFiles:
    """Reads and writes the files of projects. Raises `OutputFailed` if they cannot be written."""

    def __init__(
        self,
        root: Path,
        database: Database,
        artifacts: Artifacts,
        identities: ModelIdentities,
        clock: Callable[[], float],
    ) -> None:
        self._root = root
        self._database = database
        self._artifacts = artifacts
        self._identities = identities
        self._clock = clock

    def media(self, project: str, take: str, kind: str) -> ArtifactFile:
        """A take's clip, latents, trace or thumbnail. Raises `NotThere`."""
        with self._database.read() as session:
            known = takes.take_of(session, project, take)
        if known is None or kind not in TAKE_FILES:
            raise NotThere(message("file-not-found"))
        return self._file(known, kind)

    def still(self, project: str, take: str, frame: int) -> bytes:
        """One frame of a take as a small JPEG. Raises `NotThere`, and `DamagedClip` if it cannot be read."""
        with self.media(project, take, "clip").local() as clip:
            return jpeg(picture_at(clip, frame, HEIGHT))

    def export(self, project: str, kind: str) -> Path:
        """Writes one of `EXPORT_FILES`; returns its path.

        Raises `NotThere` for another kind, and `Refused` if shots have no take yet.
        """
        if kind not in EXPORT_FILES:
            raise NotThere(message("export-unknown", kind=kind))
        with self._database.read() as session:
            stored, known = projects.load(session, project), takes.takes_of(session, project)
            rows, kept = takes.record_of(session, project), picture_rows.pictures_of(session, project)
        board = stored.project.board
        folder = self._root / "exports" / project
        target = folder / f"{slug(board.title)}{EXPORT_FILES[kind].ending}"
        with os_errors_as_studio_errors(self._root):
            folder.mkdir(parents=True, exist_ok=True)
            if kind == BUNDLE:
                record = {"project": dict(to_document(stored.project)), **rows, "pictures": kept}
                files = {f"{digest}{PICTURE}": self._artifacts.file(digest, PICTURE) for digest in kept}
                write_bundle(target, record, {**self._files(known.values()), **files})
            else:
                clips = cut_of(stored.project, known)
                write_export(kind, stored.project, clips, self._artifacts, target)
        return target

    def receive(self, declared: int | None) -> Upload:
        """A file to write an upload of `declared` bytes to, if the size is known.

        Raises `WrongUse` if it is too large, and `OutputFailed` if the disk is too full.
        """
        return Upload(self._root / "scratch", declared)

    def import_bundle(self, bundle: Path) -> str:
        """Makes a project of a bundle; returns its id. Raises `BadBundle`."""
        with os_errors_as_studio_errors(self._root), scratch_folder(self._root / "scratch") as folder:
            record, files = read_bundle(bundle, folder)
            return self.import_record(record, {file.name: file for file in files})

    def import_record(self, record: Mapping[str, Any], files: Mapping[str, Path]) -> str:
        """Makes a project of the record of a bundle and its files by "DIGEST.suffix"; returns its id.

        Raises `BadBundle` if they do not fit together.
        """
        project, known, strips = _from_record(record, files, self._identities)

        def note(artifacts: list[Artifact]) -> str:
            with self._database.write() as session:
                artifact_rows.keep(session, self._artifacts, artifacts, self._clock())
                name = projects.create(session, project, self._clock())
                for take in known:
                    takes.keep(session, name, take)
                for digest in record.get("pictures", ()):
                    picture_rows.keep(session, name, digest, self._clock())
                for shot, take_id, added in strips:
                    projects.add_to_strip(session, name, shot, take_id, added)
            return name

        with os_errors_as_studio_errors(self._root):
            return artifact_rows.stored(self._artifacts, files.values(), note)

    def import_film(self, film: Path) -> str:
        """Makes a project of the recipe in a film; returns its id. Raises `BadRecipe`.

        Takes of the film that this studio has, in any project, stand for their shots again. Pictures that the
        film carries, or that this studio has, are the project's.
        """
        try:
            project = read_recipe(recipe_in(film)).project
        except DamagedClip as error:
            raise BadRecipe(message("film-unreadable")) from error
        with os_errors_as_studio_errors(self._root), scratch_folder(self._root / "scratch") as folder:
            pictures = _pictures_in(film, project, folder)
            return artifact_rows.stored(self._artifacts, pictures, partial(self._note_film, project))

    def _note_film(self, project: Project, pictures: list[Artifact]) -> str:
        """Makes a project of a recipe and the pictures that its film carries; returns its id."""
        with self._database.write() as session:
            artifact_rows.keep(session, self._artifacts, pictures, self._clock())
            shown = (*project.chosen.items(), *project.drafts.items())
            known = {take: found for _, take in shown if (found := takes.find_take(session, take))}
            chosen, drafts = (
                {shot: take for shot, take in lane.items() if take in known}
                for lane in (project.chosen, project.drafts)
            )
            name = projects.create(session, replace(project, chosen=chosen, drafts=drafts), self._clock())
            for shot, take_id in (*chosen.items(), *drafts.items()):
                takes.keep(session, name, known[take_id])
                projects.add_to_strip(session, name, shot, take_id, self._clock())
            picture_rows.keep_known(session, name, picture_digests(project.board), self._clock())
        return name

    def back_up(self) -> Path:
        """Copies the database into the folder of backups; returns the copy's path.

        Raises `Refused` for one on a server, whose tools do that.
        """
        path = file_of(self._database.url)
        if path is None:
            raise Refused(message("database-server-no-backup", path=shown(self._database.url)))
        with os_errors_as_studio_errors(self._root):
            return back_up(path, self._root / "backups")

    def _files(self, known: Iterable[StoredTake]) -> dict[str, StoredFile]:
        """The files of takes by "DIGEST.suffix". Raises `NotThere` if one is missing."""
        return {
            f"{getattr(take, kind)}{file_type.suffix}": self._file(take, kind)
            for take in known
            for kind, file_type in TAKE_FILES.items()
        }

    def _file(self, take: StoredTake, kind: str) -> ArtifactFile:
        """A file of a take. Raises `NotThere` if it is missing."""
        file = self._artifacts.found(getattr(take, kind), TAKE_FILES[kind].suffix)
        if file is None:
            raise NotThere(message("media-missing", kind=kind))
        return file


def _pictures_in(film: Path, project: Project, folder: Path) -> list[Path]:
    """The pictures that a film carries for its project, written into a folder. What is none is left out."""
    pictures = []
    for digest, content in attached_pictures(film, picture_digests(project.board)).items():
        file = folder / f"{digest}{PICTURE}"
        file.write_bytes(content)
        with suppress(BadPicture):
            read_picture(file)
            pictures.append(file)
    return pictures


def _from_record(
    record: Mapping[str, Any], files: Collection[str], identities: ModelIdentities
) -> tuple[Project, list[StoredTake], list[tuple[str, str, float]]]:
    """The project, takes and strips of a bundle. Raises `BadBundle` if they do not fit together."""
    try:
        model = record["project"]["settings"].get("model")
        record = renamed_bundle(record, current_models([model], identities))
        project = from_document(record["project"])
        known = [takes.take_from_record(take) for take in record["takes"]]
        strips = [(str(s["shot"]), str(s["take"]), float(s["added"])) for s in record["strips"]]
        for take in known:
            if take.id != take.inputs.take_id:
                raise BadBundle(message("bundle-take-invalid"))
            if not all(
                f"{getattr(take, kind)}{file_type.suffix}" in files for kind, file_type in TAKE_FILES.items()
            ):
                raise BadBundle(message("bundle-file-missing"))
        if not all(f"{digest}{PICTURE}" in files for digest in record.get("pictures", ())):
            raise BadBundle(message("bundle-file-missing"))
    except (
        ValidationError,
        BadStoryboard,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
    ) as error:
        raise BadBundle(message("bundle-record-invalid")) from error
    names = {take.id for take in known}
    if not {take for _, take, _ in strips} <= names:
        raise BadBundle(message("bundle-take-missing"))
    return project, known, strips
