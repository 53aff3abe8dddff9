"""Files of takes over HTTP, from a store that gives paths only for as long as they are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from moc_engine.stored_file import LocalFile, StoredFile
from studio.api.stored_file_response import StoredFileResponse
from tests.fakes.remote_artifacts import RemoteFile


@pytest.mark.parametrize("kind", [LocalFile, RemoteFile])
def test_a_file_is_sent_whole_and_in_ranges(kind: type[LocalFile | RemoteFile], tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "clip.mp4").write_bytes(content)
    file: StoredFile = kind(tmp_path / "clip.mp4")
    app = FastAPI()

    @app.api_route("/clip", methods=["GET", "HEAD"], response_class=StoredFileResponse)
    def clip() -> StoredFileResponse:
        return StoredFileResponse(file, media_type="video/mp4", headers={"cache-control": "private"})

    client = TestClient(app)
    whole = client.get("/clip")
    assert whole.content == content
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["content-length"] == "300000"
    assert whole.headers["cache-control"] == "private"
    part = client.get("/clip", headers={"range": "bytes=200000-200009"})
    assert part.status_code == 206
    assert part.content == content[200_000:200_010]
    assert client.get("/clip", headers={"range": "bytes=300000-"}).status_code == 416
    assert client.head("/clip").headers["content-length"] == "300000"
