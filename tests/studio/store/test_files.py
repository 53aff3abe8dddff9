from __future__ import annotations

import ctypes
import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from studio.domain.errors import OutputFailed
from studio.store.files import replace_folder, sweep, told_plainly, whole_file, whole_folder, write_text


class Broken(Exception):
    pass


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that has ended."""
    code = "import os; print(os.getpid())"
    return int(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)


def test_a_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    with whole_file(target) as part:
        assert part.suffix == ".mp4"
        part.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    target.write_text("old")
    with pytest.raises(Broken), whole_file(target) as part:
        part.write_text("half")
        raise Broken
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_appears_whole_and_takes_an_older_ones_place(tmp_path: Path) -> None:
    target = tmp_path / "takes" / "01"
    for text in ("one", "two"):
        with whole_folder(target) as part:
            (part / "clip").write_text(text)
    assert (target / "clip").read_text() == "two"
    assert list(target.parent.iterdir()) == [target]


def test_a_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "01"
    with whole_folder(target) as part:
        (part / "clip").write_text("old")
    with pytest.raises(Broken), whole_folder(target) as part:
        (part / "clip").write_text("half")
        raise Broken
    assert (target / "clip").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_cannot_take_its_place_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "01"
    target.mkdir()
    (target / "clip").write_text("old")
    with pytest.raises(FileNotFoundError):
        replace_folder(target, tmp_path / "gone")
    assert (target / "clip").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_folders_made_for_nothing_are_taken_away(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(Broken), whole_folder(tmp_path / "mine" / "runs" / "takes" / "01"):
        raise Broken
    assert list(tmp_path.rglob("*")) == [tmp_path / "mine"]


def test_sweeping_puts_back_what_the_dead_took_away(tmp_path: Path, dead: int) -> None:
    (tmp_path / f".old-{dead}-01").mkdir()
    (tmp_path / f".old-{dead}-01" / "clip").write_text("finished")
    (tmp_path / f".part-{dead}-01").mkdir()
    (tmp_path / f".old-{dead}-02").mkdir()
    (tmp_path / "02").mkdir()
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["01", "02"]
    assert (tmp_path / "01" / "clip").read_text() == "finished"


def test_sweeping_spares_what_is_not_the_programs(tmp_path: Path) -> None:
    names = {".part-notes", ".old-photos", ".part-2-", ".partly", "part-1-x"}
    for name in names:
        (tmp_path / name).write_text("mine")
    sweep(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == names
    sweep(tmp_path / "nowhere")


def test_sweeping_takes_what_the_dead_left_and_spares_the_living(tmp_path: Path, dead: int) -> None:
    gone = tmp_path / f".part-{dead}-film.mp4"
    gone.write_text("half")
    gone_folder = tmp_path / f".part-{dead}-01"
    (gone_folder / "deep").mkdir(parents=True)
    living = tmp_path / f".part-{os.getppid()}-film.mp4"
    living.write_text("at work")
    other = tmp_path / "film.mp4"
    other.write_text("done")
    sweep(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([living, other])


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only"),
        (errno.ENOTDIR, "a file is in the way"),
        (errno.EFBIG, "larger than is allowed"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_failures_are_told_plainly(tmp_path: Path, number: int, says: str) -> None:
    with pytest.raises(OutputFailed, match=says) as caught, told_plainly(tmp_path):
        raise OSError(number, os.strerror(number), str(tmp_path / ".part-1-film.mp4"))
    assert str(tmp_path) in str(caught.value)
    assert ".part-" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_library_that_does_not_load_is_no_failure_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"nowhere\.so"), told_plainly(tmp_path):
        ctypes.CDLL("libnowhere.so")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_told_plainly(tmp_path: Path) -> None:
    with pytest.raises(OutputFailed, match="the disk is full"), told_plainly(tmp_path):
        Path("/dev/full").write_text("x")


def test_a_folder_in_a_files_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputFailed, match="a file is in the way"), told_plainly(tmp_path / "file"):
        (tmp_path / "file" / "takes").mkdir(parents=True)


def test_write_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "x", "Żółw\n")
    assert (tmp_path / "x").read_bytes() == "Żółw\n".encode()
