"""Files of takes over HTTP, from a folder and from S3."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from moc_engine.stored_file import LocalFile, StoredFile
from studio.api.error_answers import answer_errors
from studio.api.stored_file_response import StoredFileResponse
from studio.store.artifact_place import CACHE
from tests.fakes.artifact_stores import S3Store, Store
from tests.fakes.s3 import S3

CONTENT = os.urandom(3_000_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def client(store: Store, tmp_path: Path) -> TestClient:
    """A server of one file, of which this machine has no copy."""
    (tmp_path / "clip.mp4").write_bytes(CONTENT)
    store.opened().put(tmp_path / "clip.mp4")
    shutil.rmtree(tmp_path / CACHE, ignore_errors=True)
    return client_of(store.opened().file(DIGEST, ".mp4"), DIGEST)


def client_of(file: StoredFile, digest: str | None) -> TestClient:
    app = FastAPI()
    answer_errors(app)

    @app.api_route("/clip", methods=["GET", "HEAD"], response_class=StoredFileResponse)
    def clip() -> StoredFileResponse:
        return StoredFileResponse(
            file, media_type="video/mp4", headers={"cache-control": "private"}, digest=digest
        )

    return TestClient(app)


def test_a_file_is_sent_whole_and_in_ranges(client: TestClient) -> None:
    whole = client.get("/clip")
    assert whole.content == CONTENT
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["content-length"] == "3000000"
    assert whole.headers["cache-control"] == "private"
    part = client.get("/clip", headers={"range": "bytes=200000-200009"})
    assert part.status_code == 206
    assert part.content == CONTENT[200_000:200_010]
    beyond = client.get("/clip", headers={"range": "bytes=3000000-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, "bytes */3000000")
    assert client.head("/clip").headers["content-length"] == "3000000"


def test_a_range_is_sent_as_it_is_asked_for(client: TestClient) -> None:
    for asked, first, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 3_000_000),
        ("bytes=2999999-", 2_999_999, 3_000_000),
        ("bytes=100-9999999999", 100, 3_000_000),
        ("bytes=-1", 2_999_999, 3_000_000),
        ("bytes=-99999999", 0, 3_000_000),
    ):
        part = client.get("/clip", headers={"range": asked})
        assert part.status_code == 206, asked
        assert part.content == CONTENT[first:end], asked
        assert part.headers["content-range"] == f"bytes {first}-{end - 1}/3000000"
        assert part.headers["content-length"] == str(end - first)


def test_what_is_no_single_range_is_answered_by_the_whole(client: TestClient) -> None:
    for asked in ("bytes=", "bytes=-", "bytes=5-4", "bytes=0-1,5-9", "lines=1-2", "bytes=a-b", ""):
        whole = client.get("/clip", headers={"range": asked})
        assert whole.status_code == 200, asked
        assert whole.content == CONTENT, asked


def test_a_file_that_the_browser_has_is_not_sent_again(client: TestClient) -> None:
    tag = client.head("/clip").headers["etag"]
    assert tag == f'"{DIGEST}"'
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = client.get("/clip", headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
    assert client.get("/clip", headers={"if-none-match": '"other"'}).content == CONTENT
    ranged = {"range": "bytes=5-9"}
    assert client.get("/clip", headers={**ranged, "if-range": tag}).content == CONTENT[5:10]
    assert client.get("/clip", headers={**ranged, "if-range": '"other"'}).content == CONTENT


def test_a_file_without_a_known_digest_has_no_tag(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(CONTENT)
    client = client_of(LocalFile(tmp_path / "clip.mp4"), None)
    whole = client.get("/clip", headers={"if-none-match": "*"})
    assert whole.content == CONTENT
    assert "etag" not in whole.headers


def test_a_file_that_is_gone_is_not_there(client: TestClient, store: Store) -> None:
    store.change(f"{DIGEST[:2]}/{DIGEST}.mp4", None)
    gone = client.get("/clip")
    assert (gone.status_code, gone.json()["code"]) == (404, "file-not-found")


def test_only_what_is_asked_for_is_read_from_s3(s3: S3, tmp_path: Path) -> None:
    store = S3Store(tmp_path, s3)
    (tmp_path / "clip.mp4").write_bytes(CONTENT)
    store.opened().put(tmp_path / "clip.mp4")
    shutil.rmtree(tmp_path / CACHE)
    client = client_of(store.opened().file(DIGEST, ".mp4"), DIGEST)
    s3.requests.clear()
    assert (
        client.get("/clip", headers={"range": "bytes=2000000-2000099"}).content
        == CONTENT[2_000_000:2_000_100]
    )
    assert [method for method, _ in s3.requests] == ["HEAD", "GET"]
    assert not (tmp_path / CACHE).exists()
