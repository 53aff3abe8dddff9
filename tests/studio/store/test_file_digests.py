"""Digests of files are kept as long as the files are the same, and not for ever."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

from studio.store.file_digests import EXPIRES, MOST_FILES, FileDigests


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def old_file(path: Path, text: str) -> Path:
    path.write_text(text)
    os.utime(path, (time.time() - 60, time.time() - 60))
    return path


def compute(digests: FileDigests, file: Path) -> str:
    steps = digests.compute(file)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return str(stop.value)


def test_a_digest_is_kept_for_the_file_as_it_was(tmp_path: Path) -> None:
    digests = FileDigests()
    file = old_file(tmp_path / "weights", "one")
    assert digests.get(file) is None
    assert compute(digests, file) == hashlib.sha256(b"one").hexdigest() == digests.get(file)
    before = file.stat()
    old_file(tmp_path / "other", "two").replace(file)  # as long, and changed at the same time
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert digests.get(file) is None
    compute(digests, file)
    file.write_text("three")
    assert digests.get(file) is None


def test_a_file_that_was_changed_just_now_is_read_again(tmp_path: Path) -> None:
    """A later change within the same tick of the file system's clock would not show."""
    digests = FileDigests()
    file = tmp_path / "weights"
    file.write_text("one")
    compute(digests, file)
    assert digests.get(file) is None


def test_digests_outlive_a_restart_and_expire(tmp_path: Path) -> None:
    cache, clock = tmp_path / "cache" / "digests.json", Clock()
    often, seldom = old_file(tmp_path / "often", "one"), old_file(tmp_path / "seldom", "two")
    digests = FileDigests(cache, clock)
    for file in (often, seldom):
        compute(digests, file)
    digests.save()
    clock.now += EXPIRES / 2
    digests = FileDigests(cache, clock)
    assert digests.get(often) == hashlib.sha256(b"one").hexdigest()
    digests.save()
    clock.now += EXPIRES / 2 + 1
    FileDigests(cache, clock).save()
    digests = FileDigests(cache, clock)
    assert digests.get(often) is not None
    assert digests.get(seldom) is None


def test_two_processes_that_save_keep_what_both_computed(tmp_path: Path) -> None:
    cache = tmp_path / "digests.json"
    files = [old_file(tmp_path / name, name) for name in ("one", "two")]
    writers = [FileDigests(cache), FileDigests(cache)]
    for writer, file in zip(writers, files, strict=True):
        compute(writer, file)
        writer.save()
    assert all(FileDigests(cache).get(file) for file in files)


def test_only_the_latest_are_kept(tmp_path: Path) -> None:
    cache, clock = tmp_path / "digests.json", Clock()
    entry = {"size": 1, "mtime_ns": 1, "inode": 1, "sha256": "0", "used": clock.now - 1}
    cache.write_text(json.dumps({f"/nowhere/{number}": entry for number in range(MOST_FILES)}))
    digests = FileDigests(cache, clock)
    file = old_file(tmp_path / "weights", "one")
    compute(digests, file)
    digests.save()
    assert len(json.loads(cache.read_text())) == MOST_FILES
    assert FileDigests(cache, clock).get(file) is not None


def test_a_damaged_cache_is_computed_again(tmp_path: Path) -> None:
    cache = tmp_path / "digests.json"
    file = old_file(tmp_path / "weights", "one")
    for damaged in ("", "[]", '{"a": 1}', '{"a": {"size": 1}}'):
        cache.write_text(damaged)
        digests = FileDigests(cache)
        assert digests.get(file) is None
        compute(digests, file)
        digests.save()
        assert FileDigests(cache).get(file) is not None
