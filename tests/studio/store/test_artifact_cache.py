"""Copies of artifacts on this machine: of bounded size, and there as long as they are in use."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from studio.store.artifact_cache import ArtifactCache
from tests.fakes.doomed import PROCESSES

SIZE = 1000


@pytest.fixture
def cache(tmp_path: Path) -> ArtifactCache:
    """Room for three copies."""
    return ArtifactCache(tmp_path, 3 * SIZE)


def key(number: int) -> str:
    return f"{number:02x}/{number:064x}.mp4"


def content(number: int) -> bytes:
    return number.to_bytes(4, "little") * (SIZE // 4)


def fetch(number: int, told: list[int] | None = None) -> Callable[[Path], None]:
    def write(target: Path) -> None:
        if told is not None:
            told.append(number)
        target.write_bytes(content(number))

    return write


def copies(cache: ArtifactCache) -> list[str]:
    return sorted(file.relative_to(cache.folder).as_posix() for file in cache.folder.glob("??/*"))


def use(cache: ArtifactCache, *numbers: int) -> list[int]:
    """Uses copies one after the other; returns which were fetched."""
    fetched: list[int] = []
    for number in numbers:
        with cache.held(key(number), SIZE, fetch(number, fetched)) as path:
            assert path.read_bytes() == content(number)
        assert not path.exists()
        time.sleep(0.002)  # so that times of use differ
    return fetched


def test_what_was_used_longest_ago_makes_room(cache: ArtifactCache) -> None:
    assert use(cache, 1, 2, 3, 1, 2, 3) == [1, 2, 3]
    assert use(cache, 1, 4) == [4]
    assert copies(cache) == [key(1), key(3), key(4)]
    stream = cache.open(key(3))
    assert stream is not None
    with stream:
        assert stream.read() == content(3)
    assert cache.open(key(2)) is None
    assert use(cache, 5) == [5]
    assert copies(cache) == [key(3), key(4), key(5)]


def test_a_copy_in_use_stays_whatever_else_is_needed(cache: ArtifactCache) -> None:
    with cache.held(key(1), SIZE, fetch(1)) as path:
        use(cache, 2, 3, 4, 5, 6)
        assert key(1) in copies(cache)
        cache.remove(key(1))
        assert path.read_bytes() == content(1)
    assert key(1) not in copies(cache)


def test_what_finds_no_room_is_used_and_not_kept(cache: ArtifactCache) -> None:
    with (
        cache.held(key(1), SIZE, fetch(1)),
        cache.held(key(2), SIZE, fetch(2)),
        cache.held(key(3), SIZE, fetch(3)),
        cache.held(key(4), SIZE, fetch(4)) as fourth,
    ):
        assert fourth.read_bytes() == content(4)
        assert copies(cache) == [key(1), key(2), key(3)]
    with cache.held(key(5), 4 * SIZE, fetch(5)) as large:
        assert large.read_bytes() == content(5)
    assert key(5) not in copies(cache)
    assert list((cache.folder / "held").iterdir()) == []


def test_a_file_that_was_stored_is_a_copy(cache: ArtifactCache, tmp_path: Path) -> None:
    file = tmp_path / "file.mp4"
    file.write_bytes(content(7))
    cache.add(key(7), file)
    file.write_bytes(b"changed")
    assert use(cache, 7) == []
    file.write_bytes(bytes(4 * SIZE))
    cache.add(key(8), file)
    assert copies(cache) == [key(7)]


def test_a_fetch_that_fails_leaves_nothing(cache: ArtifactCache) -> None:
    def fail(target: Path) -> None:
        target.write_bytes(b"half")
        raise ConnectionError("cut")

    with pytest.raises(ConnectionError), cache.held(key(1), SIZE, fail):
        pass
    assert [file for file in cache.folder.rglob("*") if file.is_file()] == []


def test_threads_fetch_a_copy_once(cache: ArtifactCache) -> None:
    fetched: list[int] = []

    def slow(target: Path) -> None:
        time.sleep(0.05)
        fetch(1, fetched)(target)

    def read(_: int) -> bytes:
        with cache.held(key(1), SIZE, slow) as path:
            return path.read_bytes()

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(read, range(8))) == {content(1)}
    assert fetched == [1]


def read_at_random(folder: Path, seed: int, told: Connection) -> None:
    """Uses copies at random, and tells how often one was not what it should be."""
    cache, wrong = ArtifactCache(folder, 3 * SIZE), 0
    draw = random.Random(seed)
    for _ in range(150):
        number = draw.randrange(8)
        with cache.held(key(number), SIZE, fetch(number)) as path:
            wrong += path.read_bytes() != content(number)
            if draw.random() < 0.2:
                time.sleep(0.001)
            wrong += path.read_bytes() != content(number)
    told.send(wrong)


def test_many_processes_read_what_they_ask_for_within_the_bound(cache: ArtifactCache) -> None:
    readers = []
    for seed in range(4):
        ours, theirs = PROCESSES.Pipe(duplex=False)
        process = PROCESSES.Process(target=read_at_random, args=(cache.folder, seed, theirs))
        process.start()
        theirs.close()
        readers.append((process, ours))
    most = 0
    while any(process.is_alive() for process, _ in readers):
        most = max(most, len(copies(cache)))
        time.sleep(0.005)
    assert [pipe.recv() for _, pipe in readers] == [0] * 4
    for process, pipe in readers:
        process.join()
        pipe.close()
    assert most <= 3 + 4  # each may publish one that it holds before it makes room
    use(cache, 1)
    assert len(copies(cache)) <= 3
    assert list((cache.folder / "held").iterdir()) == []


def test_what_killed_processes_held_is_removed(cache: ArtifactCache) -> None:
    use(cache, 1)
    dead = cache.folder / "held" / ".part-1-left.mp4"
    os.link(cache.folder / key(1), dead)
    os.utime(dead, (0, 0))
    cache.remove_abandoned()
    assert not dead.exists()
    assert copies(cache) == [key(1)]
