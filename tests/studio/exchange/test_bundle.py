"""Bundles: the same again after a journey, and harmless whoever made them."""

from __future__ import annotations

import hashlib
import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from safetensors.numpy import save, save_file

from moc_engine.contract import RenderRequest
from moc_engine.stored_file import LocalFile
from moc_engine.trace.trace_file import write_trace
from studio.domain.errors import BadBundle
from studio.exchange.bundle import read_bundle, write_bundle
from studio.store.filmstrip import write_filmstrip
from tests.fakes.renderer import trace_of, write_clip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One file of each kind, under the name of its content."""
    folder = tmp_path_factory.mktemp("files")
    write_clip(folder / "a.mp4", (200, 40, 40), seconds=1.0, fps=4.0, size=(64, 64))
    write_filmstrip(folder / "a.mp4", folder / "a.jpg")
    save_file({"latents": np.zeros((2, 3, 4, 1), dtype=np.float32)}, folder / "a.safetensors")
    request = RenderRequest(
        shot=0,
        caption="x",
        global_caption="",
        cast=(),
        seconds=1.0,
        fps=4.0,
        size=(64, 64),
        seed=1,
        output=folder,
    )
    write_trace(trace_of(request), folder / "a.moc")
    return {
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}{file.suffix}": file for file in folder.iterdir()
    }


RECORD = {"project": {"title": "x"}, "takes": [], "strips": []}


@pytest.fixture
def good(tmp_path: Path, files: dict[str, Path]) -> Path:
    write_bundle(tmp_path / "good.mocz", RECORD, {name: LocalFile(file) for name, file in files.items()})
    return tmp_path / "good.mocz"


def unpacked(path: Path, folder: Path) -> tuple[dict[str, Any], list[Path]]:
    folder.mkdir()
    return read_bundle(path, folder)


def test_a_bundle_reads_back_and_is_the_same_again(
    good: Path, tmp_path: Path, files: dict[str, Path]
) -> None:
    record, found = unpacked(good, tmp_path / "out")
    assert record == RECORD
    assert {file.name: file.read_bytes() for file in found} == {n: f.read_bytes() for n, f in files.items()}
    write_bundle(tmp_path / "again.mocz", record, {file.name: LocalFile(file) for file in found})
    assert (tmp_path / "again.mocz").read_bytes() == good.read_bytes()


def test_traversal_and_tricks_with_names(files: dict[str, Path], tmp_path: Path) -> None:
    digest = next(iter(files)).split(".")[0]
    stems = (
        "evil",
        digest,
        digest.upper(),
        digest[:-1],
        f"{digest}0",
        "con",
        "a" * 300,
        "",
        ".",
        "..",
        "ﬁle",
    )
    patterns = (
        "../{}.mp4", "../../{}.mp4", "/{}.mp4", "//{}.mp4", "C:/{}.mp4", "C:\\{}.mp4", "..\\{}.mp4",
        "artifacts/../{}.mp4", "artifacts/../../{}.mp4", "artifacts//{}.mp4", "artifacts/./{}.mp4",
        "artifacts/{}/x.mp4", "artifacts/{}.mp4/", "Artifacts/{}.mp4", "ARTIFACTS/{}.MP4",
        "artifacts/{}.exe", "artifacts/{}.mp4.sh", "artifacts/{}", "artifacts\\{}.mp4", "./artifacts/{}.mp4",
    )  # fmt: skip
    cases = [pattern.format(stem) for pattern in patterns for stem in stems]
    assert len(set(cases)) >= 200
    for number, name in enumerate(cases):
        path, outside = tmp_path / "hostile.mocz", tmp_path / f"out{number}"
        with zipfile.ZipFile(path, "w") as made:
            made.writestr("project.json", json.dumps({"version": 1, **RECORD}))
            info = zipfile.ZipInfo("x")
            info.filename = name
            made.writestr(info, b"evil")
        with pytest.raises(BadBundle):
            unpacked(path, outside)
        assert list(outside.iterdir()) == []
    assert {file.name for file in tmp_path.iterdir() if file.is_file()} == {"hostile.mocz"}


def _with(good: Path, change: Callable[[dict[str, bytes]], None], **options: Any) -> bytes:
    with zipfile.ZipFile(good) as source:
        entries = {name: source.read(name) for name in source.namelist()}
    change(entries)
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", **options) as made:
        for name, data in entries.items():
            made.writestr(name, data)
    return target.getvalue()


def _record(text: bytes | str) -> Callable[[dict[str, bytes]], None]:
    data = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    return lambda entries: entries.update({"project.json": data})


def _media(suffix: str, data: bytes) -> Callable[[dict[str, bytes]], None]:
    def change(entries: dict[str, bytes]) -> None:
        for name in [name for name in entries if name.endswith(suffix)]:
            del entries[name]
        entries[f"artifacts/{hashlib.sha256(data).hexdigest()}{suffix}"] = data

    return change


def _damaged(entries: dict[str, bytes]) -> None:
    name = next(name for name in entries if name.endswith(".jpg"))
    entries[name] = entries[name][:-1]


PNG = cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()


def _large_picture(side: int = 9000) -> bytes:
    """A black PNG of few bytes, of one bit a pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((1 + side // 8) * side))
    return PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


CHANGES: dict[str, Callable[[dict[str, bytes]], None]] = {
    "no record": lambda entries: entries.__delitem__("project.json"),
    "another version": _record('{"version": 2}'),
    "no version": _record("{}"),
    "a list": _record("[]"),
    "not JSON": _record("{"),
    "not UTF-8": _record(b"\xff\xfe{}"),
    "a number JSON has not": _record('{"version": 1, "x": NaN}'),
    "half a letter": _record('{"version": 1, "x": "\\ud800"}'),
    "deep": _record("[" * 100_000),
    "another content than its name": _damaged,
    "a clip that is text": _media(".mp4", b"<script>alert(1)</script>"),
    "a picture too large to be decoded": _media(".png", _large_picture()),
    "a picture that is text": _media(".jpg", b"<svg onload=alert(1)>"),
    "a trace that is text": _media(".moc", b"PK but no trace"),
    "latents that are a pickle": _media(".safetensors", b"\x80\x04cos\nsystem\n"),
    "latents of another name": _media(".safetensors", save({"x": np.zeros((1, 1, 1, 1), np.float32)})),
    "latents of other axes": _media(".safetensors", save({"latents": np.zeros((4,), np.float32)})),
    "latents that are whole numbers": _media(
        ".safetensors", save({"latents": np.zeros((1, 1, 1, 1), np.int64)})
    ),
    "latents that are no numbers": _media(
        ".safetensors", save({"latents": np.full((1, 1, 1, 1), np.nan, np.float32)})
    ),
    "an empty clip": _media(".mp4", b""),
    "a clip that is a picture": _media(
        ".mp4", cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    ),
    "a clip that names other files": _media(".mp4", b"ffconcat version 1.0\nfile '/etc/hostname'\n"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_is_inside_is_looked_through(
    good: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], None]
) -> None:
    (tmp_path / "bad.mocz").write_bytes(_with(good, change))
    with pytest.raises(BadBundle):
        unpacked(tmp_path / "bad.mocz", tmp_path / "out")


def test_bombs(good: Path, tmp_path: Path) -> None:
    zeros = bytes(40 * 2**20)
    bomb = _with(good, _media(".mp4", zeros), compression=zipfile.ZIP_DEFLATED)
    assert len(bomb) < 2**20
    (tmp_path / "bomb.mocz").write_bytes(bomb)
    with pytest.raises(BadBundle, match="unpacks to far more"):
        unpacked(tmp_path / "bomb.mocz", tmp_path / "out")


def test_cut_and_torn_bundles(good: Path, tmp_path: Path) -> None:
    whole = good.read_bytes()
    for number, cut in enumerate(range(0, len(whole), max(1, len(whole) // 60))):
        (tmp_path / "cut.mocz").write_bytes(whole[:cut])
        with pytest.raises(BadBundle):
            unpacked(tmp_path / "cut.mocz", tmp_path / f"out{number}")


def test_a_file_twice(good: Path, tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    with zipfile.ZipFile(good, "a") as made:
        made.writestr("Project.json", b"{}")
    with pytest.raises(BadBundle, match="twice"):
        unpacked(good, tmp_path / "out")


def _packed_again(good: Path, target: Path, around: str, *added: str) -> Path:
    """The bundle as a file manager packs it: with entries for folders and files of its own."""
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(target, "w") as made:
        for folder in {around, f"{around}artifacts/"} - {""}:
            made.writestr(folder, b"")
        for name in source.namelist():
            made.writestr(f"{around}{name}", source.read(name))
        for name in added:
            made.writestr(name, b"whatever")
    return target


@pytest.mark.parametrize("around", ["", "An old story/"])
def test_bundles_that_a_file_manager_packed_again(good: Path, tmp_path: Path, around: str) -> None:
    added = (
        f"__MACOSX/{around}._project.json", "__MACOSX/._artifacts", f"{around}.DS_Store",
        f"{around}artifacts/Thumbs.db", f"{around}desktop.ini", f"{around}artifacts/._x.mp4",
    )  # fmt: skip
    again = _packed_again(good, tmp_path / "again.mocz", around, *added)
    record, files = unpacked(again, tmp_path / "out")
    assert record == RECORD
    assert len(files) == 4
    assert {file.name for file in files} == {file.name for file in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize(
    "added", ["../evil.mp4", "x/../../evil.mp4", "other/project.json", "readme.txt", "x/evil.exe"]
)
def test_a_folder_around_hides_nothing(good: Path, tmp_path: Path, added: str) -> None:
    again = _packed_again(good, tmp_path / "again.mocz", "x/", added)
    with pytest.raises(BadBundle):
        unpacked(again, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
