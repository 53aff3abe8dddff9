"""Reads folders of films that version 0.1 rendered, which had a record of their own and no studio.

DIR/film.json                   the take of each shot
DIR/takes/03-9f2c41d07be815aa/  clip, latents, trace and take.json of one take of shot 3
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from moc_engine.errors import TraceError
from moc_engine.trace.trace_file import read_trace
from studio.domain.errors import BadStoryboard, DamagedFolder, StudioError
from studio.domain.file_types import TAKE_FILES
from studio.domain.messages import message
from studio.domain.project import Project
from studio.domain.storyboard import Shot, Storyboard
from studio.store.documents import to_document
from studio.store.filmstrip import write_filmstrip
from studio.store.takes import take_from_record

_RECORD: Final = "film.json"
_FORMAT: Final = 1
_FILES: Final = ("clip", "latents", "trace")


def is_old_film_folder(folder: Path) -> bool:
    """Whether a folder has the record that version 0.1 wrote."""
    return (folder / _RECORD).is_file()


def read_old_film_folder(folder: Path, scratch: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """The folder as the record and files of a bundle; files by "DIGEST.suffix", made ones in `scratch`.

    A take with a missing, cut or unreadable file is left out. Raises `DamagedFolder` if film.json cannot be
    read.
    """
    title, shots = _film(folder / _RECORD)
    files: dict[str, Path] = {}
    takes: dict[str, dict[str, Any]] = {}
    strips: list[dict[str, Any]] = []
    for path in sorted((folder / "takes").glob("[0-9]*/take.json")):
        try:
            record, own, shot = _take(path, scratch)
        except (OSError, ValueError, TypeError, KeyError, TraceError, StudioError, RecursionError):
            continue
        takes[record["id"]] = record
        files |= own
        strips.append({"shot": _shot_id(shot), "take": record["id"], "added": record["created"]})
    board = Storyboard(
        title=title,
        shots=tuple(
            Shot(id=_shot_id(number), caption=shot["caption"], skip=shot.get("skipped", False))
            for number, shot in enumerate(shots)
        ),
    )
    chosen = {
        _shot_id(number): shot["take"] for number, shot in enumerate(shots) if shot.get("take") in takes
    }
    project = dict(to_document(Project(board=board, chosen=chosen)))
    return {"project": project, "takes": list(takes.values()), "strips": strips}, files


def _film(path: Path) -> tuple[str, list[dict[str, Any]]]:
    """The title, and the caption and take of each shot."""
    try:
        record = json.loads(path.read_bytes())
        if record["format"] != _FORMAT:
            raise DamagedFolder(message("folder-version", path=str(path)))
        title, shots = record["title"], record["shots"]
        Storyboard(
            title=title, shots=tuple(Shot(id=_shot_id(i), caption=s["caption"]) for i, s in enumerate(shots))
        )
        if not all(isinstance(shot.get("take"), str | None) for shot in shots):
            raise TypeError("a take has no name")
    except OSError as error:
        raise DamagedFolder(
            message("folder-unreadable", path=str(path), cause=error.strerror or str(error))
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, BadStoryboard) as error:
        raise DamagedFolder(message("folder-not-a-film", path=str(path))) from error
    return title, shots


def _take(path: Path, scratch: Path) -> tuple[dict[str, Any], dict[str, Path], int]:
    """A take as bundles record it, its files, and the position of its shot."""
    old = json.loads(path.read_bytes())
    paths = {kind: path.parent / old[kind] for kind in _FILES}
    for file in paths.values():
        if file.parent != path.parent or file.stat().st_size != old["bytes"][file.name]:
            raise ValueError(f"{file} is not as it was written")
    thumbnail = scratch / f"{path.parent.name}.jpg"
    write_filmstrip(paths["clip"], thumbnail)
    trace = read_trace(paths["trace"])
    digests = {kind: _digest(file) for kind, file in (*paths.items(), ("thumbnail", thumbnail))}
    record = {
        "id": old["id"],
        "inputs": old["inputs"],
        "caption": old["caption"],
        "frames": old["frames"],
        "context": [[_shot_id(shot), take] for shot, take in old["context"]],
        "links": {link.take: link.share for link in trace.links() if link.take is not None},
        "strongest": {take: list(found) for take, found in trace.strongest().items()},
        "own_share": trace.own_share(),
        "caption_share": trace.caption_share(),
        "rolled_from": None,
        "backend": old["backend"],
        "timings": old["timings"],
        "created": path.stat().st_mtime,
        **digests,
    }
    take_from_record(record)
    if old["format"] != _FORMAT:
        raise ValueError(f"{path} was written by another version of the program")
    files: Mapping[str, Path] = {
        f"{digests[kind]}{file_type.suffix}": paths.get(kind, thumbnail)
        for kind, file_type in TAKE_FILES.items()
    }
    return record, dict(files), old["shot"]


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _shot_id(position: int) -> str:
    return f"shot-{position + 1}"
