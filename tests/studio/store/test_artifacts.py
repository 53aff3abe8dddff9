"""Files named by their content, in a folder and in S3: whole or not there, however processes are killed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from studio.store import artifact_rows
from studio.store.artifacts import Artifact, Artifacts
from studio.store.database import Database
from studio.store.tables import ArtifactRow
from studio.store.upgrade import open_database
from tests.fakes.artifact_stores import FolderStore, S3Store, Store
from tests.fakes.doomed import PROCESSES, put_and_die, put_and_note

KILLS = int(os.environ.get("SOAK_KILLS", "20"))


@pytest.fixture
def artifacts(store: Store) -> Artifacts:
    return store.opened()


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    file = tmp_path / "clip.mp4"
    file.write_bytes(os.urandom(300_000))
    return file


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def key(artifact: Artifact) -> str:
    return f"{artifact.digest[:2]}/{artifact.digest}{artifact.suffix}"


def test_a_file_is_named_by_its_content(artifacts: Artifacts, store: Store, clip: Path) -> None:
    assert artifacts.is_empty()
    put = artifacts.put(clip)
    assert put == Artifact(digest=digest(clip), suffix=".mp4", bytes=300_000)
    assert store.contents() == {key(put): clip.read_bytes()}
    assert not artifacts.is_empty()
    assert artifacts.put(clip) == put
    assert store.contents() == {key(put): clip.read_bytes()}


def test_an_artifact_is_read_as_a_stream_and_as_a_path(store: Store, clip: Path) -> None:
    put = store.opened().put(clip)
    for artifacts in (store.opened(), store.opened()):
        file = artifacts.file(put.digest, put.suffix)
        with file.open() as stream:
            stream.seek(299_990)
            assert stream.read() == clip.read_bytes()[-10:]
        with file.local() as path:
            assert path.read_bytes() == clip.read_bytes()
            assert path.suffix == ".mp4"
        assert file == artifacts.file(put.digest, put.suffix)
        assert hash(file) == hash(artifacts.file(put.digest, put.suffix))
        assert str(file).endswith(f"{put.digest}.mp4")
        assert file.digest == put.digest


def test_what_is_missing_is_told(artifacts: Artifacts, store: Store, clip: Path) -> None:
    put = artifacts.put(clip)
    assert artifacts.size(put.digest, put.suffix) == 300_000
    assert artifacts.found(put.digest, put.suffix) == artifacts.file(put.digest, put.suffix)
    missing = "0" * 64
    assert artifacts.size(missing, ".mp4") is None
    assert artifacts.found(missing, ".mp4") is None
    with pytest.raises(FileNotFoundError):
        artifacts.file(missing, ".mp4").open()


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
def test_what_is_no_digest_names_nothing(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="names no artifact"):
        FolderStore(tmp_path).opened().file(name, ".mp4")


def test_a_file_that_was_cut_is_stored_again(artifacts: Artifacts, store: Store, clip: Path) -> None:
    put = artifacts.put(clip)
    store.change(key(put), b"cut")
    assert artifacts.put(clip) == put
    assert store.contents() == {key(put): clip.read_bytes()}


def test_old_files_that_no_row_speaks_of_are_orphans(
    artifacts: Artifacts, store: Store, tmp_path: Path
) -> None:
    put = {}
    for text in ("known", "orphan"):
        file = tmp_path / f"{text}.jpg"
        file.write_text(text)
        put[text] = artifacts.put(file)
    assert list(artifacts.orphans(())) == []
    store.age()
    (tmp_path / "young.jpg").write_text("young")
    put["young"] = artifacts.put(tmp_path / "young.jpg")
    (listed,) = artifacts.orphans({put["known"].digest})
    assert listed.location.endswith(key(put["orphan"]))
    assert (listed.digest, listed.bytes) == (put["orphan"].digest, 6)
    assert artifacts.remove(listed)
    assert not artifacts.remove(listed)
    assert list(artifacts.orphans({put["known"].digest})) == []
    assert store.contents().keys() == {key(put["known"]), key(put["young"])}


def test_an_orphan_that_is_stored_anew_after_it_was_listed_stays(
    artifacts: Artifacts, store: Store, clip: Path
) -> None:
    put = artifacts.put(clip)
    store.age()
    (listed,) = artifacts.orphans(())
    store.change(key(put), None)
    artifacts.put(clip)
    assert not artifacts.remove(listed)
    assert store.contents() == {key(put): clip.read_bytes()}


def test_what_is_empty_has_no_orphans(artifacts: Artifacts) -> None:
    artifacts.remove_abandoned()
    assert list(artifacts.orphans(())) == []
    assert artifacts.abandoned() == []


def rows(database: Database) -> list[ArtifactRow]:
    with database.read() as session:
        return list(session.scalars(select(ArtifactRow)))


def test_a_kill_at_any_step_leaves_no_row_to_a_bad_file(tmp_path: Path, clip: Path, store: Store) -> None:
    def another(name: str) -> tuple[Path, Store]:
        root = tmp_path / name
        root.mkdir()
        return root, S3Store(root, store.s3) if isinstance(store, S3Store) else FolderStore(root)

    whole = another("whole")
    lines = _result(put_and_die, whole[0], whole[1].place, clip, 0)
    assert isinstance(lines, int)
    assert lines > 40
    kills = KILLS // 3 if isinstance(store, S3Store) else KILLS  # each process connects, which takes long
    every = max(1, lines // kills)
    found = {_state_after_kill(*whole, clip)}
    for line in range(1, lines + 1, every):
        root, there = another(str(line))
        assert _result(put_and_die, root, there.place, clip, line) is None
        found.add(_state_after_kill(root, there, clip))
    assert found == {(False, False), (True, False), (True, True)}


def _state_after_kill(root: Path, store: Store, clip: Path) -> tuple[bool, bool]:
    """Whether the file is in its place, and whether it has its row; all else about it is checked."""
    artifacts, database = store.opened(), open_database(root)
    artifacts.remove_abandoned()
    there = store.contents()
    noted = rows(database)
    assert all(name[3:67] == hashlib.sha256(content).hexdigest() for name, content in there.items())
    for row in noted:
        assert len(there[f"{row.digest[:2]}/{row.digest}{row.suffix}"]) == row.bytes
    store.age()
    orphans = artifacts.orphans({row.digest for row in noted})
    assert [orphan.key for orphan in orphans] == ([] if noted else list(there))
    put = artifacts.put(clip)
    with database.write() as session:
        artifact_rows.keep(session, artifacts, [put], now=1.0)
    assert [row.digest for row in rows(database)] == [digest(clip)]
    database.close()
    return bool(there), bool(noted)


def _result(task: Callable[..., None], *arguments: Any) -> object:
    """What another process tells in the end; None where it was killed."""
    ours, theirs = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=task, args=(*arguments, theirs))
    process.start()
    theirs.close()
    process.join()
    return _received(ours)


def _received(pipe: Connection) -> object:
    try:
        return pipe.recv()
    except EOFError:
        return None
    finally:
        pipe.close()


def test_processes_that_store_the_same_files_while_others_remove_them_lose_none(
    store: Store, database: Database, database_url: str | None, tmp_path: Path
) -> None:
    """Each file is stored twice, and is old at every moment: only the rows keep it."""
    files = []
    for number in range(12):
        files.append(tmp_path / f"{number}.jpg")
        files[-1].write_bytes(number.to_bytes(4, "little") * 100)
    artifacts = store.opened()
    writers = []
    for order in (files, files[::-1]):
        ours, theirs = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(
            target=put_and_note, args=(tmp_path, database_url, store.place, order, theirs)
        )
        process.start()
        theirs.close()
        writers.append((process, ours))

    def remove() -> None:
        while any(process.is_alive() for process, _ in writers):
            with suppress(FileNotFoundError):  # of a file that was moved while it is made old
                store.age()
            for orphan in list(artifacts.orphans(())):
                with (
                    database.write() as session,
                    artifact_rows.held_unnamed(session, [orphan]) as unnamed,
                ):
                    for one in unnamed:
                        artifacts.remove(one)

    with ThreadPoolExecutor(1) as threads:
        removing = threads.submit(remove)
        told = [[pipe.recv() for _ in range(len(files) + 1)] for _, pipe in writers]
        for process, pipe in writers:
            process.join()
            pipe.close()
        removing.result()
    digests = [digest(file) for file in files]
    assert told == [[*digests, None], [*digests[::-1], None]]
    assert {row.digest for row in rows(database)} == set(digests)
    named = zip(digests, files, strict=True)
    assert store.contents() == {f"{name[:2]}/{name}.jpg": file.read_bytes() for name, file in named}
