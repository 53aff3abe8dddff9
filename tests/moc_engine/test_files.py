from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import pytest

from moc_engine.files import (
    ABANDONED_AFTER,
    atomic_file,
    atomic_files,
    atomic_folder,
    remove_abandoned,
    scratch_folder,
    temporary_path,
    write_text,
)


def test_all_files_appear_when_the_block_ends_well(tmp_path: Path) -> None:
    one, two = tmp_path / "deep" / "er" / "one.txt", tmp_path / "two.mp4"
    with atomic_files(one, two) as parts:
        assert [part.suffix for part in parts] == [".txt", ".mp4"]
        for part in parts:
            part.write_text(part.suffix)
        assert not one.exists()
        assert not two.exists()
    assert (one.read_text(), two.read_text()) == (".txt", ".mp4")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["deep", "er", "one.txt", "two.mp4"]


def test_nothing_is_left_when_it_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), atomic_files(tmp_path / "new" / "one", tmp_path / "two") as parts:
        parts[0].write_text("half")
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_a_file_that_was_not_written_fails_the_others_too(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_files(tmp_path / "one", tmp_path / "two") as parts:
        parts[0].write_text("whole")
    assert not list(tmp_path.iterdir())


def test_an_older_file_is_kept_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "take"
    path.write_text("old")
    with pytest.raises(KeyError), atomic_file(path) as part:
        part.write_text("new")
        raise KeyError
    assert path.read_text() == "old"
    with atomic_file(path) as part:
        part.write_text("new")
    assert path.read_text() == "new"


def _write(folder: Path, text: str) -> None:
    (folder / "deep").mkdir()
    for name in ("one", "deep/two"):
        (folder / name).write_text(text)


def test_a_folders_files_take_the_places_of_the_old_ones(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for text in ("old", "new"):
        with atomic_folder(path) as part:
            _write(part, text)
            assert not path.exists() or (path / "one").read_text() == "old"
    assert [(path / name).read_text() for name in ("one", "deep/two")] == ["new", "new"]
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_left_as_it_was_when_it_fails(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with pytest.raises(KeyError), atomic_folder(path) as part:
        _write(part, "half")
        raise KeyError
    assert not list(tmp_path.iterdir())
    with atomic_folder(path) as part:
        _write(part, "old")
    with pytest.raises(KeyError), atomic_folder(path) as part:
        _write(part, "half")
        raise KeyError
    assert (path / "one").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_at_any_moment_leaves_every_file_of_a_folder_in_place(tmp_path: Path) -> None:
    """Each rename in turn is the last thing a process does."""
    code = (
        "import os, sys; from pathlib import Path; from moc_engine.files import atomic_folder\n"
        "left = [int(sys.argv[2])]\n"
        "def watch(event, _):\n"
        "    if event == 'os.rename':\n"
        "        left[0] -= 1\n"
        "        if left[0] < 0: os._exit(9)\n"
        "sys.addaudithook(watch)\n"
        "with atomic_folder(Path(sys.argv[1])) as part:\n"
        "    for name in ('one', 'two'): (part / name).write_text('new')\n"
    )
    path = tmp_path / "model"
    with atomic_folder(path) as part:
        for name in ("one", "two"):
            (part / name).write_text("old")
    ends = []
    for renames in range(3):
        ends.append(subprocess.run([sys.executable, "-c", code, path, str(renames)], check=False).returncode)
        assert sorted(file.name for file in path.iterdir()) == ["one", "two"]
        assert {file.read_text() for file in path.iterdir()} <= {"old", "new"}
    assert ends == [9, 9, 0]
    assert len(list(tmp_path.iterdir())) == 3
    remove_abandoned(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_of_the_same_process_and_one_of_another_are_kept(tmp_path: Path) -> None:
    """Whoever runs is not disturbed; `ended` stands for a process that was killed while it wrote."""
    code = (
        "import sys; from pathlib import Path; from moc_engine.files import temporary_path\n"
        "part = temporary_path(Path(sys.argv[1]) / 'film.mp4'); part.write_text('half')\n"
        "print(part, flush=True)\n"
        "sys.stdin.read()\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    theirs = Path(other.stdout.readline().strip())
    with atomic_file(tmp_path / "own") as own:
        own.write_text("half")
        remove_abandoned(tmp_path)
        assert sorted(tmp_path.iterdir()) == sorted([own, theirs])
    other.communicate("")
    remove_abandoned(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["own"]


def test_a_process_number_given_again_does_not_keep_an_abandoned_file(tmp_path: Path) -> None:
    part = temporary_path(tmp_path / "film.mp4")
    prefix, host, pid, started, rest = part.name.split("-", 4)
    earlier = part.with_name("-".join([prefix, host, pid, str(int(started) - 3600), rest]))
    earlier.write_text("half")
    remove_abandoned(tmp_path)
    assert not earlier.exists()


@pytest.mark.parametrize("name", [f".part-0badcafe-1-1-{'0' * 16}.mp4", ".part-1-film.mp4"])
def test_what_another_machine_or_version_writes_is_abandoned_after_a_day(tmp_path: Path, name: str) -> None:
    part = tmp_path / name
    part.mkdir()
    (part / "clip.mp4").write_text("half")
    remove_abandoned(tmp_path)
    assert part.exists()
    old = time.time() - ABANDONED_AFTER - 10
    os.utime(part, (old, old))
    remove_abandoned(tmp_path)
    assert part.exists()  # something in it was written just now
    os.utime(part / "clip.mp4", (old, old))
    remove_abandoned(tmp_path)
    assert not part.exists()


def test_files_of_other_names_are_never_removed(tmp_path: Path) -> None:
    names = {".part-notes", ".old-photos", ".part-2-", ".partly", "part-1-x", "state"}
    old = time.time() - ABANDONED_AFTER - 10
    for name in names:
        (tmp_path / name).write_text("mine")
        os.utime(tmp_path / name, (old, old))
    remove_abandoned(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == names
    remove_abandoned(tmp_path / "nowhere")


def test_long_names_leave_room_for_the_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250 + ".mp4")
    write_text(path, "whole")
    assert path.read_text() == "whole"


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    write_text(tmp_path / "x", "Żółw\n")
    assert (tmp_path / "x").read_bytes() == "Żółw\n".encode()


def test_a_scratch_folder_is_gone_afterwards(tmp_path: Path) -> None:
    with scratch_folder(tmp_path / "scratch") as folder:
        (folder / "clip").write_text("half")
        remove_abandoned(tmp_path / "scratch")
        assert folder.is_dir()
    assert not list((tmp_path / "scratch").iterdir())


SIZE = 200_000
ROUNDS = 25


def _write_rounds(path: Path, writer: int) -> list[str]:
    """Writes `path` again and again, each time filled with one byte; returns what went wrong."""
    problems = []
    for _ in range(ROUNDS):
        try:
            with atomic_file(path) as part, part.open("wb") as file:
                for _ in range(4):
                    file.write(bytes([writer]) * (SIZE // 4))
                    file.flush()
        except OSError as error:
            problems.append(repr(error))
        content = path.read_bytes()
        if len(content) != SIZE or len(set(content)) != 1:
            problems.append(f"{len(content)} bytes of {set(content)}")
    return problems


def test_threads_and_processes_that_write_one_file_each_publish_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "exports" / "film.mp4"
    with (
        ThreadPoolExecutor(4) as threads,
        ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as processes,
    ):
        writing = [threads.submit(_write_rounds, path, writer) for writer in range(4)]
        writing += [processes.submit(_write_rounds, path, 4 + writer) for writer in range(2)]
        assert [problem for writer in writing for problem in writer.result()] == []
    assert list(path.parent.iterdir()) == [path]


def test_threads_that_publish_one_folder_leave_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "model"

    def publish(writer: int) -> None:
        for _ in range(10):
            with atomic_folder(path) as part:
                for name in ("one", "two"):
                    (part / name).write_text(str(writer) * 1000)

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(publish, range(4)))
    assert sorted(file.name for file in path.iterdir()) == ["one", "two"]
    for file in path.iterdir():
        assert len(file.read_text()) == 1000
        assert len(set(file.read_text())) == 1
    assert list(tmp_path.iterdir()) == [path]
