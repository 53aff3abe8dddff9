"""Chromium seeks in a clip that lies in S3, of which it reads no more than it needs."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.sync_api import Browser

from moc_engine.clip import ClipWriter
from studio.api.stored_file_response import StoredFileResponse
from studio.store.artifact_place import CACHE, artifacts_at
from tests.fakes.s3 import S3

SECONDS, RATE = 40, 5

SEEK = """async (seconds) => {
  const video = document.querySelector("video");
  if (video.readyState < 1) await new Promise((done) => { video.onloadedmetadata = done; });
  const sought = new Promise((done) => { video.onseeked = done; });
  video.currentTime = seconds;
  await sought;
  const canvas = document.createElement("canvas");
  canvas.width = 1;
  canvas.height = 1;
  const picture = canvas.getContext("2d");
  picture.drawImage(video, 0, 0, 1, 1);
  return [video.currentTime, video.duration, picture.getImageData(0, 0, 1, 1).data[0]];
}"""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A clip of noise, of some megabytes, that is bright in its second half."""
    draw, file = np.random.default_rng(0), tmp_path / "clip.mp4"
    with ClipWriter(file, (256, 144), RATE) as writer:
        for index in range(SECONDS * RATE):
            low = 0 if index < SECONDS * RATE // 2 else 155
            writer.write(draw.integers(low, low + 100, (144, 256, 3), dtype=np.uint8))
    return file


@pytest.fixture
def page_of_clip(clip: Path, tmp_path: Path, s3: S3) -> Iterator[str]:
    """The address of a page that shows the clip out of S3; no copy of it is on this machine."""
    artifacts = artifacts_at(tmp_path, s3.new_place())
    put = artifacts.put(clip)
    shutil.rmtree(tmp_path / CACHE)
    app = FastAPI()

    @app.get("/clip")
    def read() -> StoredFileResponse:
        file = artifacts.file(put.digest, ".mp4")
        return StoredFileResponse(file, media_type="video/mp4", headers={}, digest=put.digest)

    @app.get("/")
    def page() -> HTMLResponse:
        return HTMLResponse('<video src="/clip" muted preload="metadata"></video>')

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def test_a_clip_in_s3_is_sought_by_ranges(
    browser: Browser, page_of_clip: str, clip: Path, tmp_path: Path
) -> None:
    assert clip.stat().st_size > 3_000_000
    page = browser.new_page()
    ranges: list[str] = []
    page.on("response", lambda answer: ranges.append(answer.headers.get("content-range", "")))
    page.goto(page_of_clip)
    for seconds, bright in ((30.0, True), (4.0, False), (36.0, True), (12.0, False)):
        at, duration, shade = page.evaluate(SEEK, seconds)
        assert (at, duration) == (seconds, SECONDS)
        assert (shade > 128) == bright
    page.close()
    assert len({place.partition("-")[0] for place in ranges if place}) > 1
    assert not (tmp_path / CACHE).exists()
