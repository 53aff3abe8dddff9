"""Captions that lie beside clips: a text, a JSON or subtitles of a clip's name, and tables of a folder.

kite.mp4   kite.txt    the caption
           kite.json   {"caption": …}, or text, prompt
           kite.srt    what is said from one time to another, or kite.vtt
metadata.jsonl, metadata.csv    rows with file_name and caption (text, prompt), as on the hub
style.txt  the global caption of all clips of the folder
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from moc_engine.errors import FootageError
from moc_engine.training.data.footage.subtitles import SUFFIXES, caption_between, read_subtitles

TABLES: Final = ("metadata.jsonl", "metadata.csv", "metadata.tsv")
STYLE: Final = "style.txt"

_CAPTIONS: Final = ("caption", "text", "prompt", "description")
_FILES: Final = ("file_name", "video", "file", "path")
_MOST_BYTES: Final = 1_000_000
_MOST_TABLE: Final = 2_000_000_000


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a table tells of a clip: its caption, and its story where there is a column of that name."""

    file: Path
    caption: str
    story: str = ""


def caption_beside(clip: Path) -> str:
    """The caption in a file of the clip's name; "" where there is none. Of subtitles it is all that is said.

    Raises `FootageError` naming a file that cannot be read.
    """
    text = clip.with_suffix(".txt")
    if text.is_file() and text.name != STYLE:
        return tidy(_read(text))
    record = clip.with_suffix(".json")
    if record.is_file():
        return _of_json(record)
    return caption_of_piece(clip, 0.0, math.inf)


def caption_of_piece(video: Path, start: float, end: float) -> str:
    """What subtitles of the video's name say from `start` until `end` seconds; "" where there are none.

    Texts of other kinds are about the whole video. Raises `FootageError` naming a file that cannot be read.
    """
    for suffix in SUFFIXES:
        subtitles = video.with_suffix(suffix)
        if subtitles.is_file():
            return caption_between(read_subtitles(subtitles), start, end)
    return ""


def style_of(folder: Path) -> str:
    """The global caption of a folder's clips; "" where there is none. Raises `FootageError`."""
    file = folder / STYLE
    return tidy(_read(file)) if file.is_file() else ""


def read_table(file: Path) -> tuple[Row, ...]:
    """The rows of a table in order; files are relative to its folder. Raises `FootageError` naming a line."""
    rows = _jsonl(file) if file.suffix == ".jsonl" else _csv(file)
    found = []
    for line, record in rows:
        name = _first(record, _FILES)
        if not name or "\0" in name:
            raise FootageError(f"{file}, line {line}: no name of a file ({', '.join(_FILES)})")
        path = file.parent / PurePosixPath(name)
        caption = tidy(_first(record, _CAPTIONS))
        found.append(Row(file=path, caption=caption, story=tidy(_first(record, ("story",)))))
    return tuple(found)


def tidy(text: str) -> str:
    """A caption in one line."""
    return " ".join(text.split())


def _jsonl(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for line, text in enumerate(_read(file, _MOST_TABLE).splitlines(), start=1):
        if not text.strip():
            continue
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise FootageError(f"{file}, line {line}: no JSON: {error}") from error
        if not isinstance(record, dict):
            raise FootageError(f"{file}, line {line}: wanted fields such as file_name and caption")
        yield line, record


def _csv(file: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    delimiter = "\t" if file.suffix == ".tsv" else ","
    reader = csv.DictReader(io.StringIO(_read(file, _MOST_TABLE), newline=""), delimiter=delimiter)
    try:
        for record in reader:
            yield reader.line_num, record
    except csv.Error as error:
        raise FootageError(f"{file}, line {reader.line_num}: {error}") from error


def _of_json(file: Path) -> str:
    try:
        record = json.loads(_read(file))
    except (ValueError, RecursionError) as error:
        raise FootageError(f"{file} is no JSON: {error}") from error
    if isinstance(record, str):
        return tidy(record)
    if not isinstance(record, dict):
        raise FootageError(f"{file} has no caption: wanted one of {', '.join(_CAPTIONS)}")
    return tidy(_first(record, _CAPTIONS))


def _first(record: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The first of these fields that is a text."""
    return next((record[name] for name in names if isinstance(record.get(name), str)), "")


def _read(file: Path, most: int = _MOST_BYTES) -> str:
    try:
        if file.stat().st_size > most:
            raise FootageError(f"{file} is too large for captions")
        return file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise FootageError(f"{file} cannot be read: {(error.strerror or str(error)).lower()}") from error
    except UnicodeDecodeError as error:
        raise FootageError(f"{file} is not text in UTF-8") from error
