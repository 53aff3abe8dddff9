"""Digests of parts are of their content, and kept."""

from __future__ import annotations

import os
from pathlib import Path

from moc_engine.models.part_digest import content_digest
from moc_engine.sources.parts import PartSource


def part(folder: Path, weights: bytes = b"weights") -> PartSource:
    folder.mkdir(exist_ok=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_bytes(b"{}")
    return PartSource(path=folder)


def test_the_same_content_has_the_same_digest_wherever_it_lies(tmp_path: Path) -> None:
    one, two = part(tmp_path / "one"), part(tmp_path / "two")
    kept = tmp_path / "kept"
    assert content_digest(one, kept=kept) == content_digest(two, kept=kept)
    assert content_digest(one, kept=kept) != content_digest(one, two, kept=kept)
    assert content_digest(part(tmp_path / "two", b"others"), kept=kept) != content_digest(one, kept=kept)


def test_a_file_is_named_by_its_ending(tmp_path: Path) -> None:
    for name in ("a.safetensors", "b.safetensors", "c.gguf"):
        (tmp_path / name).write_bytes(b"weights")
    a, b, c = (PartSource(path=tmp_path / name) for name in ("a.safetensors", "b.safetensors", "c.gguf"))
    kept = tmp_path / "kept"
    assert content_digest(a, kept=kept) == content_digest(b, kept=kept) != content_digest(c, kept=kept)


def test_what_was_read_is_not_read_again(tmp_path: Path) -> None:
    one = part(tmp_path / "one")
    kept = tmp_path / "kept"
    digest = content_digest(one, kept=kept)
    weights = tmp_path / "one" / "model.safetensors"
    times = weights.stat().st_mtime_ns
    weights.write_bytes(b"WEIGHTS")
    os.utime(weights, ns=(times, times))
    assert content_digest(one, kept=kept) == digest
    (record,) = kept.iterdir()
    record.write_text("damaged")
    assert content_digest(one, kept=kept) != digest
