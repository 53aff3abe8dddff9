"""Storyboards of footage are read as they were written, and faults are named by line and field."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moc_engine.errors import FootageError
from moc_engine.training.data.footage.storyboard import (
    FootageStoryboard,
    StoryboardShot,
    parse_storyboard,
    read_storyboard,
    storyboard_text,
    write_storyboard,
)

TEXT = """\
title: No
style: ink on paper
source: films/kite.mp4
shots:
  - {start: 0, end: 2.5, caption: Mira runs}
  - start: 2.5
    end: 1:06,25
    caption: >
      Otto waves
      in the meadow
    source: /far/otto.mov
  - {start: 00:01:10, end: 75, skip: yes, caption: null}
"""


def test_a_storyboard_as_people_write_it(tmp_path: Path) -> None:
    file = tmp_path / "kite.yaml"
    file.write_text(TEXT)
    kite = tmp_path / "films" / "kite.mp4"
    assert read_storyboard(file) == FootageStoryboard(
        title="No",
        style="ink on paper",
        shots=(
            StoryboardShot(source=kite, start=0.0, end=2.5, caption="Mira runs"),
            StoryboardShot(
                source=Path("/far/otto.mov"), start=2.5, end=66.25, caption="Otto waves in the meadow"
            ),
            StoryboardShot(source=kite, start=70.0, end=75.0, skip=True),
        ),
    )


def test_the_title_is_the_files_name_where_none_is_given(tmp_path: Path) -> None:
    (tmp_path / "my film.yaml").write_text("source: a.mp4\nshots: [{start: 0, end: 1}]")
    assert read_storyboard(tmp_path / "my film.yaml").title == "my film"


captions = st.text(max_size=40).map(lambda text: " ".join(text.split()))
lengths = st.integers(1, 10**7).map(lambda n: n / 1000)


@given(
    st.lists(
        st.tuples(captions, lengths, st.sampled_from(["a.mp4", "b/ü c.mov"]), st.booleans()), min_size=1
    ),
    captions,
)
def test_what_is_written_is_read(shots: list[tuple[str, float, str, bool]], style: str) -> None:
    folder, at, made = Path("/films"), 0.0, []
    for caption, seconds, source, skip in shots:
        end = round(at + seconds, 3)
        made.append(StoryboardShot(source=folder / source, start=at, end=end, caption=caption, skip=skip))
        at = end
    board = FootageStoryboard(title="x", style=style, shots=tuple(made))
    assert parse_storyboard(storyboard_text(board, folder), title="y", folder=folder) == board


def test_a_file_is_written_with_videos_beside_it(tmp_path: Path) -> None:
    shot = StoryboardShot(source=tmp_path / "a.mp4", start=0.0, end=1.0, caption='"Go!": he says')
    board = FootageStoryboard(title="x", shots=(shot,))
    write_storyboard(tmp_path / "x.yaml", board)
    assert 'source: "a.mp4"' in (tmp_path / "x.yaml").read_text()
    assert read_storyboard(tmp_path / "x.yaml") == board


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 1: it is empty"),
        ("- a", "line 1: the storyboard: wanted fields"),
        ("title: x", "line 1: shots: there must be a list"),
        ("title: x\nshots: []", "line 2: shots: there must be a list"),
        ("title: [x\n", "line 2: "),
        ("title: x\nfps: 24", "line 2: the storyboard: unknown field 'fps'"),
        ("title: x\ntitle: y", "line 2: the storyboard: title: given twice"),
        ("shots:\n  - a", "line 2: shot 1: wanted fields"),
        ("shots:\n  - {start: 0, end: 1}", "line 2: shot 1: source: no video"),
        ("source: a\nshots:\n  - {end: 1}", "line 3: shot 1, start: is missing"),
        ("source: a\nshots:\n  - {start: 0, end: soon}", "line 3: shot 1, end: wanted seconds"),
        ("source: a\nshots:\n  - {start: 0, end: .inf}", "line 3: shot 1, end: wanted seconds"),
        ("source: a\nshots:\n  - {start: 0, end: 1:75}", "line 3: shot 1, end: no such time"),
        ("source: a\nshots:\n  - {start: 2, end: 1}", "line 3: shot 1: end: must be after"),
        ("source: a\nshots:\n  - {start: 0, end: 1, skip: maybe}", "line 3: shot 1, skip: must be"),
        ("source: a\nshots:\n  - {start: 0, end: 1, caption: [a]}", "line 3: shot 1, caption: wanted a text"),
        ('source: "a\\0"\nshots:\n  - {start: 0, end: 1}', "line 1: source: no name"),
        ("\x07", "line 1: no YAML"),
    ],
)
def test_faults_are_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(FootageError) as error:
        read_storyboard(file)
    assert f"{file}, {words}" in str(error.value)


@given(st.text(max_size=80))
def test_any_text_is_read_or_refused_in_words(text: str) -> None:
    try:
        board = parse_storyboard(text, title="x", folder=Path("/films"))
    except ValueError as error:
        assert str(error).startswith("line ")  # noqa: PT017
    else:
        assert board.shots


def test_what_is_no_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(FootageError, match="UTF-8"):
        read_storyboard(tmp_path / "a.yaml")
    with pytest.raises(FootageError, match="cannot be read"):
        read_storyboard(tmp_path / "b.yaml")
