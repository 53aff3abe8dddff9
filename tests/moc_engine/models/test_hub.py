"""Hub models: asked of a hub that runs here, answers as it should, or is not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic

import pytest

PROGRAM = """
import sys
from moc_engine.errors import EngineError
from moc_engine.models.hub import find_on_hub
try:
    folder = find_on_hub(sys.argv[1])
except EngineError as error:
    print(type(error).__name__, error)
else:
    print(folder, (folder / "model_index.json").read_text())
"""

ANSWERS: Mapping[str, tuple[int, str]] = {
    "/some/missing": (404, "RepoNotFound"),
    "/some/private": (401, "RepoNotFound"),
    "/some/gated": (403, "GatedRepo"),
    "/some/weights": (404, "EntryNotFound"),
}
"""What the hub says of a model: the status, and its error code."""


class Hub(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        model = next((name for name in ANSWERS if self.path.startswith(f"{name}/")), None)
        status, code = (200, "") if model is None else ANSWERS[model]
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@contextmanager
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def find(model: str, home: Path, **environment: str) -> str:
    """What `find_on_hub` says of a model, in a process whose hub is told by the environment."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, model],
        env={**kept, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


NO_HUB = {"HF_ENDPOINT": "http://127.0.0.1:9"}


def keep_in_cache(home: Path, model: str) -> Path:
    """Puts the index of a model where the hub's client keeps what it has downloaded."""
    repository = home / "hub" / f"models--{model.replace('/', '--')}"
    snapshot = repository / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "model_index.json").write_text(json.dumps({"_class_name": "WanPipeline"}))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    return snapshot


def test_a_hub_that_is_not_there_is_told_quickly(tmp_path: Path) -> None:
    began = monotonic()
    said = find("some/model", tmp_path, **NO_HUB)
    assert said.startswith("HubUnreachable there is no folder some/model, and the hub cannot be reached (")
    assert said.endswith("a hub model some/model is not in its cache")
    assert monotonic() - began < 15  # its client would retry for 23 seconds


def test_offline_the_hub_is_not_asked(tmp_path: Path) -> None:
    said = find("some/model", tmp_path, HF_HUB_OFFLINE="1")
    assert said.startswith("HubUnreachable ")
    assert "(HF_HUB_OFFLINE is set)" in said


@pytest.mark.parametrize("environment", [NO_HUB, {"HF_HUB_OFFLINE": "1"}], ids=["unreachable", "offline"])
def test_without_the_hub_a_model_of_the_cache_is_taken(tmp_path: Path, environment: dict[str, str]) -> None:
    snapshot = keep_in_cache(tmp_path, "some/model")
    assert find("some/model", tmp_path, **environment) == f'{snapshot} {{"_class_name": "WanPipeline"}}'


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("some/missing", "ModelNotFound there is no model some/missing on the hub, or it is private"),
        ("some/private", "ModelNotFound there is no model some/private on the hub, or it is private"),
        ("some/gated", "ModelNotFound the model some/gated is gated: accept its terms on the hub"),
        ("some/weights", "ModelMismatch some/weights is on the hub, but has no model_index.json"),
    ],
)
def test_what_the_hub_says_is_told(tmp_path: Path, model: str, words: str) -> None:
    with hub() as endpoint:
        assert find(model, tmp_path, HF_ENDPOINT=endpoint).startswith(words)
