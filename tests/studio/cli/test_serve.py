"""The studio as a process: where it listens, and where it refuses to."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from studio.cli.main import main
from tests.fakes.certificate import CERTIFICATE, KEY


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_others_are_let_in_only_with_a_password(
    host: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MOC_STUDIO_AUTH", raising=False)
    assert main(["serve", "--host", host, "--root", str(tmp_path / "studio")]) == 2
    assert "--auth USER:PASSWORD" in capsys.readouterr().err
    assert not (tmp_path / "studio").exists()


def test_https_is_served_with_a_certificate(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_text(CERTIFICATE)
    key.write_text(KEY)
    arguments = ["serve", "--port", "0", "--root", str(tmp_path / "studio")]
    with subprocess.Popen(
        [sys.executable, "-m", "studio.cli", *arguments, "--tls-cert", certificate, "--tls-key", key],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    ) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            address = next(word for word in line.split() if word.startswith("https://127.0.0.1:"))
            trusted = ssl.create_default_context(cadata=CERTIFICATE)
            with urllib.request.urlopen(f"{address}/api/projects", timeout=120, context=trusted) as answer:
                assert answer.status == 200
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(120)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--tls-cert", "cert.pem"), "give both or neither"),
        (("--tls-key", "cert.pem"), "give both or neither"),
        (("--tls-cert", "gone.pem", "--tls-key", "cert.pem"), "--tls-cert: there is no file gone.pem"),
        (("--tls-cert", "cert.pem", "--tls-key", "cert.pem"), "--tls-cert cert.pem --tls-key cert.pem: "),
    ],
)
def test_what_is_no_certificate_is_refused(
    options: tuple[str, ...],
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cert.pem").write_text(CERTIFICATE)
    assert main(["serve", "--root", str(tmp_path / "studio"), *options]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "studio").exists()


@pytest.mark.parametrize("workers", ["0", "65"])
def test_a_machine_has_at_least_one_worker_and_not_too_many(
    workers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--root", str(tmp_path / "studio"), "--workers", workers]) == 2
    assert f"--workers: must lie within 1–64, got {workers}" in capsys.readouterr().err


def test_without_tls_a_warning_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:  # the command ends there
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        arguments = ["serve", "--host", "0.0.0.0", "--port", str(taken.getsockname()[1]), "--auth", "mira:x"]
        assert main([*arguments, "--root", str(tmp_path / "studio")]) == 2
    assert "in clear text" in capsys.readouterr().err


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
            for path in ("/", "/api/projects", "/docs", "/studio-assets/js/timeline/timeline.js"):
                with urllib.request.urlopen(f"{address}{path}", timeout=120) as answer:
                    assert answer.status == 200
                    assert answer.headers["x-content-type-options"] == "nosniff"
            loaded = Path(f"/proc/{process.pid}/maps")
            if loaded.exists():
                assert "libtorch" not in loaded.read_text()
        finally:
            began = time.monotonic()
            process.send_signal(signal.SIGINT)
            process.wait(120)
    assert time.monotonic() - began < 100
