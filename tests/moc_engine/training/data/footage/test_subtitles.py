"""Subtitles are read, and give captions to the shots that they overlap with."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moc_engine.errors import FootageError
from moc_engine.training.data.footage.subtitles import Cue, caption_between, parse_subtitles, read_subtitles

SRT = """\
1
00:00:00,000 --> 00:00:02,500
Mira <i>runs</i> right
on the beach

2
00:00:02,500 --> 00:01:06,000
{\\an8}Otto &amp; Mira
"""

VTT = """\
WEBVTT - a title

NOTE nothing

first
00:00.000 --> 00:02.500 line:0 position:20%
<v Mira>Mira runs right
on the beach

00:02.500 --> 01:06.000
Otto &amp; Mira
"""

CUES = (
    Cue(start=0.0, end=2.5, text="Mira runs right on the beach"),
    Cue(start=2.5, end=66.0, text="Otto & Mira"),
)


@pytest.mark.parametrize("text", [SRT, VTT, SRT.replace("\n", "\r\n")])
def test_both_kinds_are_read(text: str) -> None:
    assert parse_subtitles(text) == CUES


@pytest.mark.parametrize(
    ("start", "end", "caption"),
    [
        (0.0, 2.5, CUES[0].text),
        (2.0, 6.0, CUES[1].text),  # most of the first cue lies before
        (0.0, 60.0, f"{CUES[0].text} {CUES[1].text}"),
        (1.0, 1.5, CUES[0].text),
        (70.0, 80.0, ""),
    ],
)
def test_a_shot_has_the_texts_it_overlaps_with(start: float, end: float, caption: str) -> None:
    assert caption_between(CUES, start, end) == caption


def test_a_text_that_is_shown_twice_is_one_caption() -> None:
    cues = [Cue(start=0.0, end=1.0, text="x"), Cue(start=1.0, end=2.0, text="x")]
    assert caption_between(cues, 0.0, 2.0) == "x"


def test_faults_are_named(tmp_path: Path) -> None:
    file = tmp_path / "a.srt"
    for text, words in (
        ("1\n00:00 -> x --> y", f"{file}, line 2: no times"),
        ("1\n00:00:70,0 --> 00:00:80,0\nx", f"{file}, line 2: no such time"),
    ):
        file.write_text(text)
        with pytest.raises(FootageError) as error:
            read_subtitles(file)
        assert words in str(error.value)
    file.write_bytes(b"\xff\xff")
    with pytest.raises(FootageError, match="UTF-8"):
        read_subtitles(file)
    with pytest.raises(FootageError, match="cannot be read"):
        read_subtitles(tmp_path / "b.srt")


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        cues = parse_subtitles(text)
    except ValueError as error:
        assert str(error).startswith("line ")  # noqa: PT017
    else:
        assert all(cue.start < cue.end and cue.text for cue in cues)
