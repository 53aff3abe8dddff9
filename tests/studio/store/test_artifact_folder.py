"""Artifacts in a folder: whole or not there, also on a full disk, and while others store or remove them."""

import hashlib
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from studio.domain.errors import OutputFailed
from studio.store.artifact_folder import ArtifactFolder
from studio.store.artifacts import YOUNG, Orphan
from studio.store.os_errors import os_errors_as_studio_errors
from tests.fakes.artifact_paths import artifact_path


@pytest.fixture
def artifacts(tmp_path: Path) -> ArtifactFolder:
    return ArtifactFolder(tmp_path / "artifacts")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    file = tmp_path / "clip.mp4"
    file.write_bytes(os.urandom(300_000))
    return file


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def files(artifacts: ArtifactFolder) -> list[Path]:
    return sorted(file for file in artifacts.folder.rglob("*") if file.is_file())


def test_only_regular_files_have_a_size(artifacts: ArtifactFolder, clip: Path) -> None:
    put = artifacts.put(clip)
    assert artifacts.size(put.digest, put.suffix) == 300_000
    place = artifact_path(artifacts, put.digest, put.suffix)
    place.unlink()
    assert artifacts.size(put.digest, put.suffix) is None
    with pytest.raises(FileNotFoundError):
        artifacts.file(put.digest, put.suffix).open()
    place.symlink_to(clip)
    assert artifacts.size(put.digest, put.suffix) is None


def test_the_same_content_lies_there_once(artifacts: ArtifactFolder, clip: Path, tmp_path: Path) -> None:
    first = artifacts.put(clip)
    place = artifact_path(artifacts, first.digest, first.suffix)
    node = place.stat().st_ino
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(clip.read_bytes())
    assert artifacts.put(copy) == first
    assert files(artifacts) == [place]
    assert place.stat().st_ino == node


def aged(file: Path) -> Path:
    old = time.time() - YOUNG - 10
    os.utime(file, (old, old))
    return file


def test_an_orphan_that_is_put_again_is_young(artifacts: ArtifactFolder, clip: Path) -> None:
    put = artifacts.put(clip)
    aged(artifact_path(artifacts, put.digest, put.suffix))
    artifacts.put(clip)
    assert list(artifacts.orphans(())) == []


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Files cannot grow beyond `size`, as where there is no room left."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_finds_no_room_leaves_nothing(artifacts: ArtifactFolder, clip: Path) -> None:
    with (
        pytest.raises(OutputFailed, match="larger than is allowed"),
        os_errors_as_studio_errors(artifacts.folder),
        files_of_at_most(100_000),
    ):
        artifacts.put(clip)
    assert files(artifacts) == []
    assert artifacts.put(clip).digest == digest(clip)  # once there is room


def test_a_folder_that_cannot_be_written_is_told(artifacts: ArtifactFolder, clip: Path) -> None:
    artifacts.folder.mkdir()
    (artifacts.folder / digest(clip)[:2]).write_text("in the way")
    with (
        pytest.raises(OutputFailed, match="a file is in the way"),
        os_errors_as_studio_errors(artifacts.folder),
    ):
        artifacts.put(clip)


# removing while others store


class Interleaved(ArtifactFolder):
    """Artifacts of a process that is held up at one moment, in which `meanwhile` happens."""

    def __init__(self, root: Path, moment: str, meanwhile: Callable[[], object]) -> None:
        super().__init__(root / "artifacts")
        self._moment = moment
        self._meanwhile = meanwhile

    def _happen(self, moment: str) -> None:
        if moment == self._moment:
            self._meanwhile()

    def _move_aside(self, file: Path) -> Path | None:
        self._happen("before it is moved aside")
        aside = super()._move_aside(file)
        self._happen("after it was moved aside")
        return aside

    def _remove_or_put_back(self, aside: Path, before: float) -> bool:
        removed = super()._remove_or_put_back(aside, before)
        self._happen("after it was removed")
        return removed

    def _touch(self, target: Path, size: int) -> bool:
        self._happen("before it is touched")
        there = super()._touch(target, size)
        self._happen("after it was touched")
        return there


@pytest.mark.parametrize(
    "moment", ["before it is moved aside", "after it was moved aside", "after it was removed"]
)
def test_a_file_that_is_stored_while_it_is_being_removed_is_there(
    artifacts: ArtifactFolder, clip: Path, tmp_path: Path, moment: str
) -> None:
    put = artifacts.put(clip)
    place = aged(artifact_path(artifacts, put.digest, put.suffix))
    (listed,) = artifacts.orphans(())
    Interleaved(tmp_path, moment, lambda: artifacts.put(clip)).remove(listed)
    assert digest(place) == put.digest
    assert files(artifacts) == [place]
    assert list(artifacts.orphans(())) == []


def test_a_file_that_was_cut_is_stored_again(artifacts: ArtifactFolder, clip: Path) -> None:
    put = artifacts.put(clip)
    place = artifact_path(artifacts, put.digest, put.suffix)
    place.write_bytes(b"cut")
    assert artifacts.put(clip) == put
    assert digest(place) == put.digest


def test_a_file_that_is_stored_while_two_remove_it_is_there(
    artifacts: ArtifactFolder, clip: Path, tmp_path: Path
) -> None:
    put = artifacts.put(clip)
    place = aged(artifact_path(artifacts, put.digest, put.suffix))
    (listed,) = artifacts.orphans(())

    def store_and_begin_removing() -> None:
        artifacts.put(clip)
        assert ArtifactFolder(artifacts.folder)._move_aside(place) is not None

    Interleaved(tmp_path, "after it was moved aside", store_and_begin_removing).remove(listed)
    artifacts.remove_abandoned()
    assert files(artifacts) == [place]


@pytest.mark.parametrize("moment", ["before it is touched", "after it was touched"])
def test_a_file_that_is_removed_while_it_is_being_stored_is_there(
    artifacts: ArtifactFolder, clip: Path, tmp_path: Path, moment: str
) -> None:
    put = artifacts.put(clip)
    place = aged(artifact_path(artifacts, put.digest, put.suffix))
    (listed,) = artifacts.orphans(())
    assert Interleaved(tmp_path, moment, lambda: artifacts.remove(listed)).put(clip) == put
    assert digest(place) == put.digest
    assert files(artifacts) == [place]


def test_threads_that_store_and_remove_one_file_do_not_hinder_each_other(
    artifacts: ArtifactFolder, clip: Path
) -> None:
    place = artifact_path(artifacts, digest(clip), ".mp4")
    listed = Orphan(key=f"{place.parent.name}/{place.name}", location="", bytes=0, before=time.time() - YOUNG)
    stored = threading.Event()

    def remove() -> None:
        while not stored.is_set():
            with suppress(FileNotFoundError):
                aged(place)
            artifacts.remove(listed)

    with ThreadPoolExecutor(2) as threads:
        removing = threads.submit(remove)
        for _ in range(50):
            artifacts.put(clip)
        stored.set()
        removing.result()
    artifacts.put(clip)
    assert digest(place) == place.stem
    assert files(artifacts) == [place]


def test_a_removal_that_was_killed_is_finished(artifacts: ArtifactFolder, clip: Path) -> None:
    put = artifacts.put(clip)
    place = artifact_path(artifacts, put.digest, put.suffix)
    aside = place.rename(place.with_name(f".removed-0a1b2c3d-{place.name}"))
    artifacts.remove_abandoned()  # it is young: somebody stored it
    assert files(artifacts) == [place]
    aged(place).rename(aside)
    artifacts.remove_abandoned()
    assert files(artifacts) == []
