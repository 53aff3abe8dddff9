"""Subtitles: one cue per shot, written as SubRip (SRT) and as WebVTT."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True, kw_only=True)
class Cue:
    """A text and when it shows, in seconds from the film's start."""

    start: Fraction
    end: Fraction
    text: str


def cues_of(texts: Sequence[tuple[str, Fraction]]) -> list[Cue]:
    """One cue for each (text, seconds), one after the other; an empty text gives none."""
    cues = []
    start = Fraction(0)
    for text, seconds in texts:
        if text:
            cues.append(Cue(start=start, end=start + seconds, text=text))
        start += seconds
    return cues


def as_srt(cues: Sequence[Cue]) -> str:
    """SubRip text; an arrow in a caption is turned into a typographic one, as it would end the cue."""
    blocks = [
        f"{number}\n{_clock(cue.start, ',')} --> {_clock(cue.end, ',')}\n"
        f"{_lines(cue.text.replace('-->', '→'))}\n"
        for number, cue in enumerate(cues, start=1)
    ]
    return "\n".join(blocks)


def as_webvtt(cues: Sequence[Cue]) -> str:
    """WebVTT text, with what could be read as markup escaped."""
    blocks = [
        f"{_clock(cue.start, '.')} --> {_clock(cue.end, '.')}\n{html.escape(_lines(cue.text), quote=False)}\n"
        for cue in cues
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _clock(seconds: Fraction, point: str) -> str:
    """3661.5 -> "01:01:01,500"."""
    total = round(seconds * 1000)
    minutes, milliseconds = divmod(total, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{milliseconds // 1000:02d}{point}{milliseconds % 1000:03d}"


def _lines(text: str) -> str:
    return "\n".join(textwrap.wrap(text, width=42, break_long_words=False))
