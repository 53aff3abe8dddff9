"""The studio as a process: where it listens, and where it refuses to."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from studio.cli.main import main


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_others_are_let_in_only_with_a_password(
    host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MOC_STUDIO_AUTH", raising=False)
    assert main(["serve", "--host", host, "--root", str(tmp_path / "studio")]) == 2
    assert "--auth USER:PASSWORD" in capsys.readouterr().err
    assert not (tmp_path / "studio").exists()


def test_a_port_that_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--port", str(port), "--root", str(tmp_path / "studio")]) == 2
    assert f"--port {port} is taken" in capsys.readouterr().err


def test_it_says_where_it_is_and_ends_when_told(tmp_path: Path) -> None:
    arguments = ["serve", "--port", "0", "--root", str(tmp_path / "studio")]
    with subprocess.Popen(
        [sys.executable, "-m", "studio.cli", *arguments],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    ) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            address = next(word for word in line.split() if word.startswith("http://127.0.0.1:"))
            for path in ("/", "/api/projects", "/docs", "/studio-assets/js/timeline.js"):
                with urllib.request.urlopen(f"{address}{path}", timeout=30) as answer:
                    assert answer.status == 200
                    assert answer.headers["x-content-type-options"] == "nosniff"
            loaded = Path(f"/proc/{process.pid}/maps")
            if loaded.exists():
                assert "libtorch" not in loaded.read_text()
        finally:
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            process.wait(30)
    assert time.monotonic() - began < 25
