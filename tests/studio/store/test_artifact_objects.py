"""Artifacts in S3: whole or not there, whenever requests fail, connections break or processes are killed."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from pathlib import Path

import pytest

from studio.domain.errors import StoreFailed
from studio.store.artifact_cache import ArtifactCache
from studio.store.artifact_objects import ArtifactObjects
from studio.store.artifact_place import object_store
from studio.store.object_store import PART_BYTES
from tests.fakes.artifact_stores import S3Store
from tests.fakes.doomed import PROCESSES, put_large
from tests.fakes.s3 import CUT, CUT_UPLOAD, REFUSED, S3, UNANSWERED, every


@pytest.fixture
def bucket(tmp_path: Path, s3: S3) -> S3Store:
    return S3Store(tmp_path, s3)


@pytest.fixture
def impatient(bucket: S3Store, tmp_path: Path) -> ArtifactObjects:
    """Artifacts that are tried again at once."""
    objects = object_store(bucket.place, pauses=(0.0,) * 4)
    return ArtifactObjects(objects, ArtifactCache(tmp_path / "copies"))


def written(folder: Path, size: int, name: str = "clip.mp4") -> Path:
    file = folder / name
    file.write_bytes(os.urandom(size))
    return file


@pytest.mark.parametrize("fault", [REFUSED, UNANSWERED, CUT, CUT_UPLOAD])
def test_a_store_that_fails_now_and_then_is_asked_again(
    impatient: ArtifactObjects, bucket: S3Store, tmp_path: Path, fault: str
) -> None:
    with bucket.s3.failing(every(5, fault)):
        for size in (0, 1, 1000, 300_000):
            file = written(tmp_path, size)
            put = impatient.put(file)
            shutil.rmtree(tmp_path / "copies")
            with impatient.file(put.digest, ".mp4").open() as stream:
                assert stream.read() == file.read_bytes()
            with impatient.file(put.digest, ".mp4").local() as path:
                assert path.read_bytes() == file.read_bytes()
            assert impatient.size(put.digest, ".mp4") == size
        assert list(impatient.orphans(())) == []
    assert {len(content) for content in bucket.contents().values()} == {0, 1, 1000, 300_000}


@pytest.mark.parametrize("fault", [REFUSED, CUT, CUT_UPLOAD])
def test_a_store_that_never_answers_is_told_and_nothing_is_torn(
    impatient: ArtifactObjects, bucket: S3Store, tmp_path: Path, fault: str
) -> None:
    file = written(tmp_path, 300_000)
    if fault == CUT:
        put = impatient.put(file)
        shutil.rmtree(tmp_path / "copies")
        with bucket.s3.failing(lambda method, path: fault if method == "GET" else None):
            with (
                impatient.file(put.digest, ".mp4").open() as stream,
                pytest.raises(StoreFailed, match="object storage failed"),
            ):
                stream.read()
            with (
                pytest.raises(OSError, match="object storage failed"),
                impatient.file(put.digest, ".mp4").local(),
            ):
                pass
        assert [path for path in (tmp_path / "copies").rglob("*") if path.is_file()] == []
        return
    with (
        bucket.s3.failing(lambda method, path: fault if method == "PUT" else None),
        pytest.raises(StoreFailed, match="object storage failed"),
    ):
        impatient.put(file)
    assert bucket.contents() == {}


def test_what_is_missing_is_not_what_cannot_be_asked(impatient: ArtifactObjects, bucket: S3Store) -> None:
    assert impatient.size("0" * 64, ".mp4") is None
    with bucket.s3.failing(lambda method, path: REFUSED), pytest.raises(StoreFailed):
        impatient.size("0" * 64, ".mp4")


def test_a_large_file_is_stored_in_parts_and_known_by_its_checksum(
    impatient: ArtifactObjects, bucket: S3Store, tmp_path: Path
) -> None:
    file = written(tmp_path, 2 * PART_BYTES + 5, "latents.safetensors")
    put = impatient.put(file)
    methods = [method for method, path in bucket.s3.requests if put.digest in path]
    assert methods.count("PUT") == 3
    assert "GET" not in methods  # it need not be read back
    (content,) = bucket.contents().values()
    assert hashlib.sha256(content).hexdigest() == put.digest
    before = len(bucket.s3.requests)
    assert impatient.put(file) == put
    assert [method for method, _ in bucket.s3.requests[before:]] == ["HEAD"]


@pytest.mark.parametrize("moment", ["last part", "before the end"])
def test_a_process_that_is_killed_while_it_uploads_leaves_nothing_to_be_seen(
    bucket: S3Store, tmp_path: Path, moment: str
) -> None:
    file = written(tmp_path, 2 * PART_BYTES + 5, "latents.safetensors")
    reached, over = threading.Event(), threading.Event()
    seen: list[str] = []

    def hold(method: str, path: str) -> str | None:
        """Lets a request wait until its sender is dead."""
        seen.append(method)
        if seen.count("PUT") < 3 if moment == "last part" else seen.count("POST") < 2:
            return None
        reached.set()
        over.wait(60)
        return REFUSED

    ours, theirs = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=put_large, args=(tmp_path, bucket.place, file, theirs))
    with bucket.s3.failing(hold):
        process.start()
        theirs.close()
        assert reached.wait(60)
        process.kill()
        process.join()
        over.set()
    assert ours.recv() == "begin"
    with pytest.raises(EOFError):
        ours.recv()
    ours.close()
    assert bucket.contents() == {}
    artifacts = bucket.opened()
    (left,) = artifacts.abandoned()
    assert left.location.endswith(".safetensors")
    artifacts.remove_abandoned()
    assert artifacts.abandoned() == []
    put = artifacts.put(file)
    assert [hashlib.sha256(content).hexdigest() for content in bucket.contents().values()] == [put.digest]
