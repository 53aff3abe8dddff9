"""The files of takes and of exports: their endings and media types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class FileType:
    """`ending` is that of the file's name, with the suffix last; `media_type` is told to browsers."""

    ending: str
    media_type: str

    @property
    def suffix(self) -> str:
        return self.ending[self.ending.rindex(".") :]


TAKE_FILES: Final[Mapping[str, FileType]] = {
    "clip": FileType(ending=".mp4", media_type="video/mp4"),
    "latents": FileType(ending=".safetensors", media_type="application/octet-stream"),
    "trace": FileType(ending=".moc", media_type="application/octet-stream"),
    "thumbnail": FileType(ending=".jpg", media_type="image/jpeg"),
}
"""The files that every take has."""

PICTURES: Final = (".png", ".jpg", ".jpeg", ".webp")
"""The suffixes of picture files that can be read."""

PICTURE: Final = ".png"
"""The suffix of pictures that are kept, with which shots may start."""

BUNDLE: Final = "project.mocz"
"""The export that holds a project with all its takes."""

EXPORT_FILES: Final[Mapping[str, FileType]] = {
    "film.mp4": FileType(ending=".mp4", media_type="video/mp4"),
    "subtitles.srt": FileType(ending=".srt", media_type="application/x-subrip"),
    "captions.vtt": FileType(ending=".vtt", media_type="text/vtt"),
    "contact-sheet.png": FileType(ending="-contact-sheet.png", media_type="image/png"),
    BUNDLE: FileType(ending=".mocz", media_type="application/zip"),
}
"""What can be exported of a project. The ending follows the project's title."""
