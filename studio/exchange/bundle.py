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

from moc_engine.errors import TraceError
from moc_engine.files import atomic_file
from moc_engine.trace.record import RoutingTrace
from studio.domain.errors import BadBundle, DamagedClip
from studio.domain.messages import message
from studio.store.clip_file import check_clip

VERSION: Final = 1
SUFFIXES: Final = (".mp4", ".safetensors", ".moc", ".jpg")
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


def write_bundle(target: Path, record: Mapping[str, Any], files: Mapping[str, Path]) -> None:
    """Writes a record and files by "DIGEST.suffix"; the same content gives the same bytes."""
    with atomic_file(target) as part, zipfile.ZipFile(part, "w") as bundle:
        text = json.dumps({"version": VERSION, **record}, sort_keys=True, ensure_ascii=False, indent=1)
        bundle.writestr(_entry(_RECORD, zipfile.ZIP_DEFLATED), text)
        for name, path in sorted(files.items()):
            place = _entry(f"artifacts/{name}", zipfile.ZIP_STORED)
            with path.open("rb") as stream, bundle.open(place, "w", force_zip64=True) as entry:
                shutil.copyfileobj(stream, entry, _PIECE)


def read_bundle(bundle: Path, folder: Path) -> tuple[dict[str, Any], list[Path]]:
    """The record of a bundle, and its files unpacked into `folder` and looked through.

    Raises `BadBundle` for whatever is not as `write_bundle` writes it.
    """
    with _told(), zipfile.ZipFile(bundle) as opened:
        entries = opened.infolist()
        _check_entries(entries)
        with opened.open(_RECORD) as stream:
            record = json.loads(stream.read(MOST_RECORD + 1))
        if not isinstance(record, dict) or record.pop("version", None) != VERSION:
            raise BadBundle(message("bundle-version"))
        json.dumps(record, ensure_ascii=False, allow_nan=False).encode()  # no text or number JSON has not
        files = [_unpack(opened, entry, folder) for entry in entries if entry.filename != _RECORD]
    for file in files:
        _check_media(file)
    return record, files


def _entry(name: str, kind: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _MOMENT)
    entry.compress_type = kind
    entry.external_attr = 0o644 << 16
    return entry


def _check_entries(entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MOST_ENTRIES:
        raise BadBundle(message("bundle-too-many-files", most=MOST_ENTRIES))
    names = [entry.filename for entry in entries]
    if len({name.casefold() for name in names}) < len(names):
        raise BadBundle(message("bundle-file-twice"))
    if _RECORD not in names:
        raise BadBundle(message("bundle-no-record", record=_RECORD))
    for entry in entries:
        match = _NAME.fullmatch(entry.filename)
        if entry.filename != _RECORD and (match is None or match[2] not in SUFFIXES):
            raise BadBundle(message("bundle-foreign-file"))
        if entry.flag_bits & 1:
            raise BadBundle(message("bundle-encrypted"))
        if entry.file_size > MOST_RATIO * max(entry.compress_size, 1024):
            raise BadBundle(message("bundle-bomb"))
        if entry.filename == _RECORD and entry.file_size > MOST_RECORD:
            raise BadBundle(message("bundle-record-too-large", record=_RECORD))
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise BadBundle(message("bundle-too-large", most=MOST_BYTES / 2**30))


def _unpack(bundle: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> Path:
    match = _NAME.fullmatch(entry.filename)
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
                with safe_open(file, framework="numpy") as tensors:
                    tensors.keys()
            case ".moc":
                RoutingTrace.load(file)
            case ".jpg":
                if cv2.imdecode(np.fromfile(file, dtype=np.uint8), cv2.IMREAD_COLOR) is None:
                    raise ValueError("no picture")
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


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, RecursionError) as error:
        raise BadBundle(message("bundle-unreadable")) from error
    except ValueError as error:
        raise BadBundle(message("bundle-record-unreadable", record=_RECORD)) from error
