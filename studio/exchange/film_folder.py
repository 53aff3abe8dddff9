"""The folder that `moc-studio render FILE` fills: the film and what goes with it, and each shot's take.

DIR/the-red-kite.mp4 .srt .vtt -contact-sheet.png
DIR/takes/03-9f2c41d07be815aa/   clip.mp4, latents.safetensors and trace.moc of a take of shot 3
DIR/.studio/                     the studio that rendered them, from which these files are copied
"""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moc_engine.files import atomic_file
from studio.domain.file_names import slug
from studio.domain.project import Project
from studio.exchange.exports import CutClip, write_export
from studio.store.artifacts import Artifacts
from studio.store.takes import StoredTake

STUDIO: Final = ".studio"
"""The folder's own studio, within it."""

TAKE_FILES: Final = {"clip": "clip.mp4", "latents": "latents.safetensors", "trace": "trace.moc"}
"""The files of a take, and their names in its folder."""


@dataclass(frozen=True, kw_only=True)
class FilmFiles:
    """A film, and the files beside it."""

    film: Path
    subtitles: Path
    captions: Path
    contact_sheet: Path

    def __iter__(self) -> Iterator[tuple[str, Path]]:
        """Each file with its kind, one of `EXPORT_FILES`."""
        yield "film.mp4", self.film
        yield "subtitles.srt", self.subtitles
        yield "captions.vtt", self.captions
        yield "contact-sheet.png", self.contact_sheet


def film_files(folder: Path, title: str) -> FilmFiles:
    """Where the files of a film with this title are written."""
    name = slug(title)
    return FilmFiles(
        film=folder / f"{name}.mp4",
        subtitles=folder / f"{name}.srt",
        captions=folder / f"{name}.vtt",
        contact_sheet=folder / f"{name}-contact-sheet.png",
    )


def write_film(folder: Path, project: Project, clips: tuple[CutClip, ...], artifacts: Artifacts) -> FilmFiles:
    """Writes the film of a project's cut, its subtitles and its contact sheet."""
    files = film_files(folder, project.board.title)
    for kind, path in files:
        write_export(kind, project, clips, artifacts, path)
    return files


def take_files(folder: Path, number: int, take: str) -> Mapping[str, Path]:
    """Where the clip, latents and trace of a take of the shot with this number, from 1, are written."""
    home = folder / "takes" / f"{number:02d}-{take}"
    return {kind: home / name for kind, name in TAKE_FILES.items()}


def write_take(folder: Path, number: int, take: StoredTake, artifacts: Artifacts) -> Mapping[str, Path]:
    """Copies the files of a take; those that are there already are left as they are."""
    targets = take_files(folder, number, take.id)
    for kind, target in targets.items():
        with artifacts.file(getattr(take, kind), target.suffix).local() as source:
            if not (target.is_file() and filecmp.cmp(source, target, shallow=False)):
                with atomic_file(target) as part:
                    shutil.copyfile(source, part)
    return targets
