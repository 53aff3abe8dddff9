"""A model hub on this machine: one tiny repository, and others that are gated, private or missing.

It speaks what the hub's client asks: the list of a model's files, and each file at a commit from any byte on.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

COMMIT = "c0ffee" + "0" * 34
REPO = "some/model"

REFUSED: Mapping[str, tuple[int, str]] = {
    "some/missing": (404, "RepoNotFound"),
    "some/private": (401, "RepoNotFound"),
}
"""What the hub says of repositories: the status, and its error code."""

GATED = "some/gated"
"""A repository whose files are listed but not given."""


@dataclass
class Hub:
    """What the hub has, how it fails, and what it was asked.

    `break_after`: bytes of a file after which its first transfer ends. `ends_after`: bytes of a file that are
    all that is ever given of it, without an error. `longer`: bytes that follow a file. `pause`: seconds
    between blocks of 1,000 bytes. `damaged`: the file that arrives with other content than is listed.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    break_after: dict[str, int] = field(default_factory=dict)
    ends_after: dict[str, int] = field(default_factory=dict)
    longer: dict[str, int] = field(default_factory=dict)
    pause: float = 0.0
    damaged: str | None = None
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""

    def listing(self, repo: str) -> dict[str, Any]:
        siblings = [
            {
                "rfilename": name,
                "size": len(content),
                "blobId": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
                **({"lfs": _lfs(content)} if name.endswith(".safetensors") else {}),
            }
            for name, content in self.files.items()
        ]
        card = {"license": "apache-2.0"}
        return {"_id": "1", "id": repo, "sha": COMMIT, "siblings": siblings, "cardData": card, "tags": []}


def _lfs(content: bytes) -> dict[str, object]:
    return {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}


def files_of(folder: Path) -> dict[str, bytes]:
    """The files of a folder as a repository has them, with a few that are not to be downloaded."""
    found = {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }
    found["README.md"] = b"---\nlicense: apache-2.0\n---\n# A model\n"
    found["assets/picture.png"] = b"no"
    found["transformer/diffusion_pytorch_model.fp16.safetensors"] = b"in another precision"
    found["text_encoder/pytorch_model.bin"] = b"a pickle"
    return found


@contextmanager
def running_hub(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

        def _answer(self, *, with_body: bool) -> None:
            path = self.path.partition("?")[0]
            if path == "/":
                return self._send(200, b"", with_body=with_body)
            hub.asked.append((path, self.headers.get("Range")))
            listed = re.fullmatch(r"/api/models/(\w+/\w+)(?:/revision/(\w+))?", path)
            resolved = re.fullmatch(r"/(\w+/\w+)/resolve/(\w+)/(.+)", path)
            repo = (listed or resolved or [path, path])[1]
            if repo in REFUSED:
                status, code = REFUSED[repo]
                return self._send(status, b"", code=code, with_body=with_body)
            if listed is not None:
                if listed[2] not in (None, "main", COMMIT):
                    return self._send(404, b"", code="RevisionNotFound", with_body=with_body)
                return self._send(200, json.dumps(hub.listing(repo)).encode(), with_body=with_body)
            if repo == GATED:
                return self._send(403, b"", code="GatedRepo", with_body=with_body)
            if resolved is None or resolved[3] not in hub.files:
                return self._send(404, b"", code="EntryNotFound", with_body=with_body)
            return self._give(resolved[3], with_body)

        def _give(self, name: str, with_body: bool) -> None:
            content = hub.files[name]
            if name == hub.damaged:
                content = bytes(len(content))
            content += bytes(hub.longer.get(name, 0))
            if name in hub.ends_after:
                content = content[: hub.ends_after[name]]
            begin = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").split("-")[0])
            headers = {
                "ETag": f'"{hashlib.sha256(hub.files[name]).hexdigest()}"',
                "X-Repo-Commit": COMMIT,
                "Accept-Ranges": "bytes",
            }
            if begin:
                headers["Content-Range"] = f"bytes {begin}-{len(content) - 1}/{len(content)}"
            self.send_response(206 if begin else 200)
            for key, value in {**headers, "Content-Length": str(len(content) - begin)}.items():
                self.send_header(key, value)
            self.end_headers()
            if not with_body:
                return
            end = len(content)
            if name in hub.break_after:
                end = hub.break_after.pop(name)
            for at in range(begin, end, 1000):
                self.wfile.write(content[at : min(end, at + 1000)])
                time.sleep(hub.pause)
            if end < len(content):
                self.close_connection = True
                self.connection.close()

        def _send(self, status: int, body: bytes, *, code: str = "", with_body: bool) -> None:
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    hub.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()


def hub_environment(home: Path, url: str, **more: str) -> dict[str, str]:
    """The environment of a process that asks this hub, with a cache of its own."""
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    own = {"HF_HOME": str(home), "HF_ENDPOINT": url, "HF_HUB_DISABLE_TELEMETRY": "1", "HOME": str(home)}
    return {**kept, **own, **more}
