from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from moc_engine.files import sweep, whole_files, whole_folder


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


def _write(folder: Path, text: str) -> None:
    (folder / "deep").mkdir()
    for name in ("one", "deep/two"):
        (folder / name).write_text(text)


def test_a_folders_files_take_the_places_of_the_old_ones(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for text in ("old", "new"):
        with whole_folder(path) as part:
            _write(part, text)
            assert not path.exists() or (path / "one").read_text() == "old"
    assert [(path / name).read_text() for name in ("one", "deep/two")] == ["new", "new"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_left_as_it_was_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with pytest.raises(KeyError), whole_folder(path) as part:
        _write(part, "half")
        raise KeyError
    assert not list(tmp_path.iterdir())
    with whole_folder(path) as part:
        _write(part, "old")
    with pytest.raises(KeyError), whole_folder(path) as part:
        _write(part, "half")
        raise KeyError
    assert (path / "one").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_at_any_moment_leaves_every_file_of_a_folder_in_place(tmp_path: Path) -> None:
    """Each rename in turn is the last thing a process does."""
    code = (
        "import os, sys; from pathlib import Path; from moc_engine.files import whole_folder\n"
        "left = [int(sys.argv[2])]\n"
        "def watch(event, _):\n"
        "    if event == 'os.rename':\n"
        "        left[0] -= 1\n"
        "        if left[0] < 0: os._exit(9)\n"
        "sys.addaudithook(watch)\n"
        "with whole_folder(Path(sys.argv[1])) as part:\n"
        "    for name in ('one', 'two'): (part / name).write_text('new')\n"
    )
    path = tmp_path / "model"
    with whole_folder(path) as part:
        for name in ("one", "two"):
            (part / name).write_text("old")
    ends = []
    for renames in range(3):
        ends.append(subprocess.run([sys.executable, "-c", code, path, str(renames)], check=False).returncode)
        assert sorted(file.name for file in path.iterdir()) == ["one", "two"]
        assert {file.read_text() for file in path.iterdir()} <= {"old", "new"}
    assert ends == [9, 9, 0]
    assert len(list(tmp_path.iterdir())) == 3
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_sweep_takes_only_what_was_left_half_written(tmp_path: Path) -> None:
    (tmp_path / ".part-1-state").write_text("half")
    (tmp_path / ".part-2-model").mkdir()
    (tmp_path / ".part-2-model" / "one").write_text("half")
    (tmp_path / "state").write_text("whole")
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [tmp_path / "state"]
