"""A digest of what the files of a model's parts hold: the same wherever the model lies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from moc_engine.files import write_text
from moc_engine.machine import cache_folder
from moc_engine.models.caption_cache import part_identity
from moc_engine.sources.parts import PartSource


def content_digest(*parts: PartSource, kept: Path | None = None) -> str:
    """A digest of the files of parts by name and content. Raises `OSError`.

    A text encoder of 11 GB takes ten seconds to read: digests are kept in `kept` (a folder of this machine's
    cache where None) by the files' paths, sizes and times.
    """
    file = (cache_folder() / "digests" if kept is None else kept) / _identity(parts)
    with suppress(OSError, UnicodeDecodeError):
        known = file.read_text(encoding="utf-8")
        if len(known) == 32:
            return known
    digest = hashlib.sha256()
    for part in parts:
        for name, path in _files(part):
            with path.open("rb") as content:
                found = hashlib.file_digest(content, "sha256").hexdigest()
            digest.update(f"{name} {found}\n".encode())
    with suppress(OSError):  # a full or read-only disk costs time later
        write_text(file, digest.hexdigest()[:32])
    return digest.hexdigest()[:32]


def _identity(parts: tuple[PartSource, ...]) -> str:
    together = "".join(part_identity(part) for part in parts)
    return hashlib.sha256(together.encode()).hexdigest()[:40]


def _files(part: PartSource) -> Iterator[tuple[str, Path]]:
    """The files of a part in order; one file of weights is named by its ending alone."""
    if part.path.is_file():
        yield part.path.suffix, part.path
        return
    for path in sorted(part.path.iterdir()):
        if path.is_file():
            yield path.name, path
