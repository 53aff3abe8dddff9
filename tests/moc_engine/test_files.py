from __future__ import annotations

from pathlib import Path

import pytest

from moc_engine.files import whole_files


def test_all_files_appear_when_the_block_ends_well(tmp_path: Path) -> None:
    one, two = tmp_path / "deep" / "er" / "one.txt", tmp_path / "two.mp4"
    with whole_files(one, two) as parts:
        assert [part.suffix for part in parts] == [".txt", ".mp4"]
        for part in parts:
            part.write_text(part.suffix)
        assert not one.exists()
        assert not two.exists()
    assert (one.read_text(), two.read_text()) == (".txt", ".mp4")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "er", "one.txt", "two.mp4"]


def test_nothing_is_left_when_it_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), whole_files(tmp_path / "new" / "one", tmp_path / "two") as parts:
        parts[0].write_text("half")
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_a_file_that_was_not_written_fails_the_others_too(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_files(tmp_path / "one", tmp_path / "two") as parts:
        parts[0].write_text("whole")
    assert not list(tmp_path.iterdir())


def test_an_older_file_is_kept_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "take"
    path.write_text("old")
    with pytest.raises(KeyError), whole_files(path) as (part,):
        part.write_text("new")
        raise KeyError
    assert path.read_text() == "old"
    with whole_files(path) as (part,):
        part.write_text("new")
    assert path.read_text() == "new"
