"""Captions are found in the files that lie beside clips."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moc_engine.errors import FootageError
from moc_engine.training.data.footage.clip_captions import (
    Row,
    caption_beside,
    caption_of_piece,
    read_table,
    style_of,
)


@pytest.mark.parametrize(
    ("name", "text", "caption"),
    [
        ("a.txt", " Mira runs\n on the beach\n", "Mira runs on the beach"),
        ("a.txt", "\ufeffMira runs", "Mira runs"),
        ("a.json", '{"caption": "Mira runs", "fps": 24}', "Mira runs"),
        ("a.json", '{"prompt": "Mira runs"}', "Mira runs"),
        ("a.json", '"Mira runs"', "Mira runs"),
        ("a.json", '{"caption": 3}', ""),
        (
            "a.srt",
            "1\n0:00 --> 0:01\nMira\n\n2\n0:05 --> 0:06\nOtto",
            "Mira Otto",
        ),
        ("a.vtt", "WEBVTT\n\n00:00.000 --> 00:01.000\nMira", "Mira"),
        ("a.txt", "", ""),
        ("b.txt", "another clip's", ""),
    ],
)
def test_captions_beside_a_clip(tmp_path: Path, name: str, text: str, caption: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert caption_beside(tmp_path / "a.mp4") == caption


def test_pieces_have_what_is_said_meanwhile(tmp_path: Path) -> None:
    """A text is about the whole video."""
    (tmp_path / "a.txt").write_text("a film of Mira and Otto")
    assert caption_of_piece(tmp_path / "a.mp4", 0.0, 1.0) == ""
    (tmp_path / "a.vtt").write_text("WEBVTT\n\n0:00 --> 0:01\nMira\n\n0:01 --> 0:02\nOtto")
    assert caption_of_piece(tmp_path / "a.mp4", 0.0, 1.0) == "Mira"
    assert caption_of_piece(tmp_path / "a.mp4", 1.0, 2.0) == "Otto"
    assert caption_beside(tmp_path / "a.mp4") == "a film of Mira and Otto"


def test_a_text_stands_above_other_files(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"text": "json"}')
    assert caption_beside(tmp_path / "a.mp4") == "json"
    (tmp_path / "a.txt").write_text("text")
    assert caption_beside(tmp_path / "a.mp4") == "text"


def test_the_global_caption_of_a_folder(tmp_path: Path) -> None:
    assert style_of(tmp_path) == ""
    (tmp_path / "style.txt").write_text("ink on\npaper")
    assert style_of(tmp_path) == "ink on paper"
    assert caption_beside(tmp_path / "style.mp4") == ""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "metadata.jsonl",
            '{"file_name": "a.mp4", "text": "Mira"}\n\n{"video": "b/c.mp4", "story": "two"}\n',
        ),
        ("metadata.csv", "file_name,text,story\na.mp4,Mira,\nb/c.mp4,,two\n"),
        ("metadata.tsv", "file_name\tcaption\tstory\na.mp4\t Mira\t\nb/c.mp4\t\ttwo\n"),
    ],
)
def test_tables(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_table(tmp_path / name) == (
        Row(file=tmp_path / "a.mp4", caption="Mira"),
        Row(file=tmp_path / "b" / "c.mp4", caption="", story="two"),
    )


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("metadata.jsonl", b'{"file_name": "a"}\n{', "line 2: no JSON"),
        ("metadata.jsonl", b"[1]", "line 1: wanted fields"),
        ("metadata.jsonl", b'{"text": "x"}', "line 1: no name of a file"),
        ("metadata.csv", b"text\nx", "line 2: no name of a file"),
        ("metadata.csv", b"\xff\xfe", "not text in UTF-8"),
    ],
)
def test_faults_of_tables_are_named(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FootageError, match=words) as error:
        read_table(tmp_path / name)
    assert name in str(error.value)


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.txt", b"\xff\xfe\x00", "not text in UTF-8"),
        ("a.json", b"{", "no JSON"),
        ("a.json", b"[]", "has no caption"),
        ("a.txt", b"x" * 1_000_001, "too large"),
        ("a.srt", b"1\nx --> y\nz", "line 2"),
    ],
)
def test_faults_beside_clips_are_named(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(FootageError, match=words) as error:
        caption_beside(tmp_path / "a.mp4")
    assert name in str(error.value)


NAMES = ("a.txt", "a.json", "a.srt", "metadata.jsonl", "metadata.csv")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["a.txt", "a.json", "a.srt", "metadata.jsonl", "metadata.csv"]), st.binary(max_size=60)
)
def test_any_content_is_read_or_refused_in_words(tmp_path: Path, name: str, data: bytes) -> None:
    file = tmp_path / name
    file.write_bytes(data)
    try:
        if name.startswith("metadata"):
            assert all(row.file.is_relative_to(tmp_path) or row.file.name for row in read_table(file))
        else:
            assert isinstance(caption_beside(tmp_path / "a.mp4"), str)
    except FootageError as error:
        assert str(file) in str(error)  # noqa: PT017
    finally:
        file.unlink()
