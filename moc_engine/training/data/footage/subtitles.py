"""Reads subtitles, SRT or WebVTT, as captions of what is shown meanwhile."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moc_engine.errors import FootageError
from moc_engine.training.data.footage.clock_times import parse_time

SUFFIXES: Final = (".srt", ".vtt")

_TIMES: Final = re.compile(r"\s*([\d:.,]+)\s*-->\s*([\d:.,]+)(?:\s.*)?")
_TAG: Final = re.compile(r"<[^<>]*>|\{\\[^{}]*\}")
_SHARE: Final = 0.5
"""The share of a cue, or of a shot, that must overlap with the other."""


@dataclass(frozen=True, kw_only=True)
class Cue:
    """A text shown from one time to another, in seconds."""

    start: float
    end: float
    text: str


def read_subtitles(path: Path) -> tuple[Cue, ...]:
    """The cues of a file in order, without tags. Raises `FootageError` naming file and line."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FootageError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FootageError(f"{path} is not text in UTF-8") from error
    try:
        return parse_subtitles(text)
    except ValueError as error:
        raise FootageError(f"{path}, {error}") from error


def parse_subtitles(text: str) -> tuple[Cue, ...]:
    """The cues of a text. Raises `ValueError` naming the line."""
    return tuple(sorted(_cues(text.splitlines()), key=lambda cue: (cue.start, cue.end)))


def _cues(lines: Sequence[str]) -> Iterator[Cue]:
    at = 0
    while at < len(lines):
        if "-->" not in lines[at]:
            at += 1
            continue
        line, times = at + 1, _TIMES.fullmatch(lines[at])
        if times is None:
            raise ValueError(f"line {line}: no times of a subtitle: '{lines[at].strip()}'")
        try:
            start, end = parse_time(times[1]), parse_time(times[2])
        except ValueError as error:
            raise ValueError(f"line {line}: {error}") from error
        words = []
        at += 1
        while at < len(lines) and lines[at].strip() and "-->" not in lines[at]:
            words.append(lines[at])
            at += 1
        shown = " ".join(html.unescape(_TAG.sub("", " ".join(words))).split())
        if start < end and shown:
            yield Cue(start=start, end=end, text=shown)


def caption_between(cues: Sequence[Cue], start: float, end: float) -> str:
    """The texts of the cues that belong to a shot, joined; "" where none does.

    A cue belongs to a shot where half of the cue, or half of the shot, lies within the other.
    """
    found = []
    for cue in cues:
        shared = min(end, cue.end) - max(start, cue.start)
        if shared > 0 and shared >= _SHARE * min(cue.end - cue.start, end - start) and cue.text not in found:
            found.append(cue.text)
    return " ".join(found)
