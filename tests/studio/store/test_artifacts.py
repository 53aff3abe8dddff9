"""Files named by their content: whole or not there, whenever the process is killed or the disk full."""

import hashlib
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from sqlalchemy import select

from studio.domain.errors import OutputFailed
from studio.store import takes
from studio.store.artifacts import YOUNG, Artifact, Artifacts
from studio.store.database import Database
from studio.store.os_errors import os_errors_as_studio_errors
from studio.store.tables import ArtifactRow
from studio.store.upgrade import open_database
from tests.fakes.artifact_paths import artifact_path
from tests.fakes.doomed import PROCESSES, put_and_die

KILLS = int(os.environ.get("SOAK_KILLS", "20"))


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    file = tmp_path / "clip.mp4"
    file.write_bytes(os.urandom(300_000))
    return file


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def files(artifacts: Artifacts) -> list[Path]:
    return sorted(file for file in artifacts.folder.rglob("*") if file.is_file())


def test_a_file_is_named_by_its_content(artifacts: Artifacts, clip: Path) -> None:
    put = artifacts.put(clip)
    assert put == Artifact(digest=digest(clip), suffix=".mp4", bytes=300_000)
    place = artifact_path(artifacts, put.digest, put.suffix)
    assert place == artifacts.folder / put.digest[:2] / f"{put.digest}.mp4"
    assert place.read_bytes() == clip.read_bytes()
    assert files(artifacts) == [place]


def test_an_artifact_is_read_as_a_stream_and_as_a_path(artifacts: Artifacts, clip: Path) -> None:
    put = artifacts.put(clip)
    file = artifacts.file(put.digest, put.suffix)
    with file.open() as stream:
        stream.seek(299_990)
        assert stream.read() == clip.read_bytes()[-10:]
    with file.local() as path:
        assert path.read_bytes() == clip.read_bytes()
    assert file == artifacts.file(put.digest, put.suffix)
    assert str(file).endswith(f"{put.digest}.mp4")


def test_only_regular_files_have_a_size(artifacts: Artifacts, clip: Path) -> None:
    put = artifacts.put(clip)
    assert artifacts.size(put.digest, put.suffix) == 300_000
    place = artifact_path(artifacts, put.digest, put.suffix)
    place.unlink()
    assert artifacts.size(put.digest, put.suffix) is None
    with pytest.raises(FileNotFoundError):
        artifacts.file(put.digest, put.suffix).open()
    place.symlink_to(clip)
    assert artifacts.size(put.digest, put.suffix) is None


def test_the_same_content_lies_there_once(artifacts: Artifacts, clip: Path, tmp_path: Path) -> None:
    first = artifacts.put(clip)
    place = artifact_path(artifacts, first.digest, first.suffix)
    node = place.stat().st_ino
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(clip.read_bytes())
    assert artifacts.put(copy) == first
    assert files(artifacts) == [place]
    assert place.stat().st_ino == node


@pytest.mark.parametrize(
    "name",
    [
        "",
        "9f",
        "A" * 64,
        "g" * 64,
        "a" * 63,
        "a" * 65,
        "../" + "a" * 61,
        "a" * 64 + "\n",
        "/etc/passwd",
        "é" * 64,
    ],
)
def test_what_is_no_digest_names_nothing(artifacts: Artifacts, name: str) -> None:
    with pytest.raises(ValueError, match="names no artifact"):
        artifact_path(artifacts, name, ".mp4")


def aged(file: Path) -> Path:
    old = time.time() - YOUNG - 10
    os.utime(file, (old, old))
    return file


def test_old_files_that_no_row_speaks_of_are_orphans(artifacts: Artifacts, tmp_path: Path) -> None:
    places = []
    for text in ("known", "orphan", "young"):
        file = tmp_path / f"{text}.jpg"
        file.write_text(text)
        put = artifacts.put(file)
        places.append(artifact_path(artifacts, put.digest, put.suffix))
    known, orphan, _ = places
    aged(known)
    aged(orphan)
    (listed,) = artifacts.orphans({known.stem})
    assert Path(listed.location) == orphan
    assert (listed.digest, listed.bytes) == (orphan.stem, 6)
    assert artifacts.remove(listed.key)
    assert not artifacts.remove(listed.key)
    assert list(artifacts.orphans({known.stem})) == []


def test_an_orphan_that_is_put_again_is_young(artifacts: Artifacts, clip: Path) -> None:
    put = artifacts.put(clip)
    aged(artifact_path(artifacts, put.digest, put.suffix))
    artifacts.put(clip)
    assert list(artifacts.orphans(())) == []


def test_an_empty_folder_has_no_orphans(artifacts: Artifacts) -> None:
    artifacts.remove_abandoned()
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


def test_a_file_that_finds_no_room_leaves_nothing(artifacts: Artifacts, clip: Path) -> None:
    with (
        pytest.raises(OutputFailed, match="larger than is allowed"),
        os_errors_as_studio_errors(artifacts.folder),
        files_of_at_most(100_000),
    ):
        artifacts.put(clip)
    assert files(artifacts) == []
    assert artifacts.put(clip).digest == digest(clip)  # once there is room


def test_a_folder_that_cannot_be_written_is_told(artifacts: Artifacts, clip: Path) -> None:
    artifacts.folder.mkdir()
    (artifacts.folder / digest(clip)[:2]).write_text("in the way")
    with (
        pytest.raises(OutputFailed, match="a file is in the way"),
        os_errors_as_studio_errors(artifacts.folder),
    ):
        artifacts.put(clip)


def rows(database: Database) -> list[ArtifactRow]:
    with database.read() as session:
        return list(session.scalars(select(ArtifactRow)))


def test_a_kill_at_any_step_leaves_no_row_to_a_bad_file(tmp_path: Path, clip: Path) -> None:
    lines = _put(tmp_path / "whole", clip, line=0)
    assert lines is not None
    assert lines > 40
    every = max(1, lines // KILLS)
    found = {_state_after_kill(tmp_path / "whole", clip)}
    for line in range(1, lines + 1, every):
        root = tmp_path / str(line)
        assert _put(root, clip, line) is None
        found.add(_state_after_kill(root, clip))
    assert found == {(False, False), (True, False), (True, True)}


def _state_after_kill(root: Path, clip: Path) -> tuple[bool, bool]:
    """Whether the file is in its place, and whether it has its row; all else about it is checked."""
    artifacts, database = Artifacts(root), open_database(root)
    artifacts.remove_abandoned()
    there = files(artifacts)
    noted = rows(database)
    for row in noted:
        place = artifact_path(artifacts, row.digest, row.suffix)
        assert digest(place) == row.digest
        assert place.stat().st_size == row.bytes
    assert all(digest(file) == file.stem for file in there)
    for file in there:
        aged(file)
    orphans = artifacts.orphans({row.digest for row in noted})
    assert [Path(orphan.location) for orphan in orphans] == ([] if noted else there)
    put = artifacts.put(clip)
    with database.write() as session:
        takes.keep_artifacts(session, [put], now=1.0)
    assert [row.digest for row in rows(database)] == [digest(clip)]
    database.close()
    return bool(there), bool(noted)


def _put(root: Path, clip: Path, line: int) -> int | None:
    """The lines there were; None where the process was killed."""
    ours, theirs = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=put_and_die, args=(root, clip, line, theirs))
    process.start()
    theirs.close()
    process.join()
    return _received(ours)


def _received(pipe: Connection) -> int | None:
    try:
        lines = pipe.recv()
    except EOFError:
        return None
    finally:
        pipe.close()
    assert isinstance(lines, int)
    return lines


# removing while others store


class Interleaved(Artifacts):
    """Artifacts of a process that is held up at one moment, in which `meanwhile` happens."""

    def __init__(self, root: Path, moment: str, meanwhile: Callable[[], object]) -> None:
        super().__init__(root)
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

    def _remove_or_put_back(self, aside: Path) -> bool:
        removed = super()._remove_or_put_back(aside)
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
    artifacts: Artifacts, clip: Path, tmp_path: Path, moment: str
) -> None:
    put = artifacts.put(clip)
    place = aged(artifact_path(artifacts, put.digest, put.suffix))
    (listed,) = artifacts.orphans(())
    Interleaved(tmp_path, moment, lambda: artifacts.put(clip)).remove(listed.key)
    assert digest(place) == put.digest
    assert files(artifacts) == [place]
    assert list(artifacts.orphans(())) == []


def test_a_file_that_was_cut_is_stored_again(artifacts: Artifacts, clip: Path) -> None:
    put = artifacts.put(clip)
    place = artifact_path(artifacts, put.digest, put.suffix)
    place.write_bytes(b"cut")
    assert artifacts.put(clip) == put
    assert digest(place) == put.digest


def test_a_file_that_is_stored_while_two_remove_it_is_there(
    artifacts: Artifacts, clip: Path, tmp_path: Path
) -> None:
    put = artifacts.put(clip)
    place = aged(artifact_path(artifacts, put.digest, put.suffix))
    (listed,) = artifacts.orphans(())

    def store_and_begin_removing() -> None:
        artifacts.put(clip)
        assert Artifacts(tmp_path)._move_aside(place) is not None

    Interleaved(tmp_path, "after it was moved aside", store_and_begin_removing).remove(listed.key)
    artifacts.remove_abandoned()
    assert files(artifacts) == [place]


@pytest.mark.parametrize("moment", ["before it is touched", "after it was touched"])
def test_a_file_that_is_removed_while_it_is_being_stored_is_there(
    artifacts: Artifacts, clip: Path, tmp_path: Path, moment: str
) -> None:
    put = artifacts.put(clip)
    place = aged(artifact_path(artifacts, put.digest, put.suffix))
    (listed,) = artifacts.orphans(())
    assert Interleaved(tmp_path, moment, lambda: artifacts.remove(listed.key)).put(clip) == put
    assert digest(place) == put.digest
    assert files(artifacts) == [place]


def test_threads_that_store_and_remove_one_file_do_not_hinder_each_other(
    artifacts: Artifacts, clip: Path
) -> None:
    place = artifact_path(artifacts, digest(clip), ".mp4")
    listed = f"{place.parent.name}/{place.name}"
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


def test_a_removal_that_was_killed_is_finished(artifacts: Artifacts, clip: Path) -> None:
    put = artifacts.put(clip)
    place = artifact_path(artifacts, put.digest, put.suffix)
    aside = place.rename(place.with_name(f".removed-0a1b2c3d-{place.name}"))
    artifacts.remove_abandoned()  # it is young: somebody stored it
    assert files(artifacts) == [place]
    aged(place).rename(aside)
    artifacts.remove_abandoned()
    assert files(artifacts) == []
