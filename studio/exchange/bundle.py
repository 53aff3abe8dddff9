"""Bundles (.mocz): a project with all its takes in one zip, to be opened elsewhere unchanged.

    project.json            the project, its takes and strips, as the database has them
    artifacts/DIGEST.mp4 …  each file once, named by its content

What is read comes from anybody: names, sizes, content and every media file are checked before any of it is
kept, and nothing is written but under names of our own.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from safetensors import SafetensorError, safe_open

from moc_engine.clip import LONGEST_SIDE
from moc_engine.errors import TraceError
from moc_engine.files import atomic_file
from moc_engine.picture_header import picture_size
from moc_engine.stored_file import StoredFile
from moc_engine.trace.trace_file import read_trace
from studio.domain.errors import BadBundle, DamagedClip
from studio.domain.file_types import PICTURE, TAKE_FILES
from studio.domain.messages import message
from studio.store.clip_file import check_clip

VERSION: Final = 1
SUFFIXES: Final = frozenset({*(file.suffix for file in TAKE_FILES.values()), PICTURE})
MOST_ENTRIES: Final = 20_000
MOST_BYTES: Final = 8 * 2**30
"""Of everything unpacked."""
MOST_RECORD: Final = 64 * 2**20
MOST_RATIO: Final = 200
"""How many times its size an entry may unpack to."""

_RECORD: Final = "project.json"
_NAME: Final = re.compile(r"artifacts/([0-9a-f]{64})(\.[a-z0-9]+)")
_MOMENT: Final = (1980, 1, 1, 0, 0, 0)
_PIECE: Final = 2**20
_ADDED_FILES: Final = (".DS_Store", "Thumbs.db", "desktop.ini", ".localized")
"""Files that file managers put into folders, besides __MACOSX/ and ._NAME."""

_FLOATS: Final = ("F32", "F16", "BF16")


def write_bundle(target: Path, record: Mapping[str, Any], files: Mapping[str, StoredFile]) -> None:
    """Writes a record and files by "DIGEST.suffix"; the same content gives the same bytes."""
    with atomic_file(target) as part, zipfile.ZipFile(part, "w") as bundle:
        text = json.dumps({"version": VERSION, **record}, sort_keys=True, ensure_ascii=False, indent=1)
        bundle.writestr(_entry(_RECORD, zipfile.ZIP_DEFLATED), text)
        for name, file in sorted(files.items()):
            info = _entry(f"artifacts/{name}", zipfile.ZIP_STORED)
            with file.open() as stream, bundle.open(info, "w", force_zip64=True) as entry:
                shutil.copyfileobj(stream, entry, _PIECE)


def read_bundle(bundle: Path, folder: Path) -> tuple[dict[str, Any], list[Path]]:
    """The record of a bundle, and its files, unpacked into `folder` and checked.

    Raises `BadBundle` for anything that `write_bundle` would not write, except what file managers add.
    """
    with _zip_errors_as_bad_bundles(), zipfile.ZipFile(bundle) as opened:
        entries = _named_entries(opened.infolist())
        _check_entries(entries)
        with opened.open(entries[_RECORD]) as stream:
            record = json.loads(stream.read(MOST_RECORD + 1))
        if not isinstance(record, dict) or record.pop("version", None) != VERSION:
            raise BadBundle(message("bundle-version"))
        json.dumps(record, ensure_ascii=False, allow_nan=False).encode()  # no text or number JSON has not
        files = [_unpack(opened, entry, name, folder) for name, entry in entries.items() if name != _RECORD]
    for file in files:
        _check_media(file)
    return record, files


def _entry(name: str, kind: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _MOMENT)
    entry.compress_type = kind
    entry.external_attr = 0o644 << 16
    return entry


def _named_entries(entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    """The entries by their names in a bundle, without what a file manager adds when it packs one again: files
    of its own, entries for folders, and one folder around everything.
    """
    if len(entries) > MOST_ENTRIES:
        raise BadBundle(message("bundle-too-many-files", most=MOST_ENTRIES))
    kept = [entry for entry in entries if not _is_file_managers(entry)]
    names = [entry.filename for entry in kept]
    around = f"{names[0].partition('/')[0]}/" if names else ""
    if (
        _RECORD not in names
        and f"{around}{_RECORD}" in names
        and all(name.startswith(around) for name in names)
    ):
        names = [name.removeprefix(around) for name in names]
    if len({name.casefold() for name in names}) < len(names):
        raise BadBundle(message("bundle-file-twice"))
    return dict(zip(names, kept, strict=True))


def _is_file_managers(entry: zipfile.ZipInfo) -> bool:
    folders, _, name = entry.filename.rpartition("/")
    if not name:
        return entry.file_size == 0 and folders.count("/") <= 1
    return folders.split("/")[0] == "__MACOSX" or name in _ADDED_FILES or name.startswith("._")


def _check_entries(entries: Mapping[str, zipfile.ZipInfo]) -> None:
    if _RECORD not in entries:
        raise BadBundle(message("bundle-no-record", record=_RECORD))
    for name, entry in entries.items():
        match = _NAME.fullmatch(name)
        if name != _RECORD and (match is None or match[2] not in SUFFIXES):
            raise BadBundle(message("bundle-foreign-file"))
        if entry.flag_bits & 1:
            raise BadBundle(message("bundle-encrypted"))
        if entry.file_size > MOST_RATIO * max(entry.compress_size, 1024):
            raise BadBundle(message("bundle-bomb"))
        if name == _RECORD and entry.file_size > MOST_RECORD:
            raise BadBundle(message("bundle-record-too-large", record=_RECORD))
    if sum(entry.file_size for entry in entries.values()) > MOST_BYTES:
        raise BadBundle(message("bundle-too-large", most=MOST_BYTES / 2**30))


def _unpack(bundle: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, folder: Path) -> Path:
    match = _NAME.fullmatch(name)
    assert match is not None
    target = folder / f"{match[1]}{match[2]}"
    digest, size = hashlib.sha256(), 0
    with bundle.open(entry) as stream, target.open("xb") as file:
        while piece := stream.read(_PIECE):
            size += len(piece)
            if size > entry.file_size:
                raise BadBundle(message("bundle-file-longer"))
            digest.update(piece)
            file.write(piece)
    if digest.hexdigest() != match[1]:
        raise BadBundle(message("bundle-file-damaged"))
    return target


def _check_media(file: Path) -> None:
    """Raises `BadBundle` for a file that is not what its suffix says."""
    try:
        match file.suffix:
            case ".mp4":
                check_clip(file)
            case ".safetensors":
                _check_latents(file)
            case ".moc":
                read_trace(file)
            case ".jpg" | ".png":
                _check_picture(file)
    except (
        DamagedClip,
        SafetensorError,
        TraceError,
        cv2.error,
        ValueError,
        IndexError,
        OSError,
    ) as e:
        raise BadBundle(message("bundle-file-unreadable", kind=file.suffix[1:])) from e


def _check_picture(file: Path) -> None:
    """Raises `ValueError` for a file that is no picture, or too large a one to be decoded."""
    with file.open("rb") as stream:
        size = picture_size(stream)
    if size is None or size[0] * size[1] > LONGEST_SIDE**2:
        raise ValueError("no picture of a size that is read")
    if cv2.imdecode(np.fromfile(file, dtype=np.uint8), cv2.IMREAD_COLOR) is None:
        raise ValueError("no picture")


def _check_latents(file: Path) -> None:
    """Raises `ValueError` for a file that does not hold the latents of a take: four axes, finite numbers."""
    with safe_open(file, framework="numpy") as tensors:
        if "latents" not in tensors.keys():  # noqa: SIM118 (no mapping)
            raise ValueError("no latents")
        part = tensors.get_slice("latents")
        if part.get_dtype() not in _FLOATS or len(part.get_shape()) != 4 or 0 in part.get_shape():
            raise ValueError("no latents")
        if part.get_dtype() != "BF16" and not np.isfinite(tensors.get_tensor("latents")).all():
            raise ValueError("latents that are no numbers")


@contextmanager
def _zip_errors_as_bad_bundles() -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RecursionError) as error:
        raise BadBundle(message("bundle-unreadable")) from error
    except ValueError as error:
        raise BadBundle(message("bundle-record-unreadable", record=_RECORD)) from error
