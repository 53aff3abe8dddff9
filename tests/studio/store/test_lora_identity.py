"""Identities of LoRAs: what is read at once, and what waits for the worker."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from studio.store.lora_identity import LoraIdentities
from studio.store.model_identity import READ_AT_ONCE


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """Two LoRAs, each small enough to be read at once, and both together not."""
    paths = [tmp_path / "ink.safetensors", tmp_path / "fast.safetensors"]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]))
        os.truncate(path, READ_AT_ONCE * 2 // 3)
        os.utime(path, (1e9, 1e9))
    return list(map(str, paths))


def read_all(identities: LoraIdentities, files: list[str]) -> None:
    for _ in identities.compute(files):
        pass


def test_little_is_read_at_once_and_much_waits_for_the_worker(tmp_path: Path, files: list[str]) -> None:
    cache = tmp_path / "digests.json"
    service = LoraIdentities(cache)
    assert service.known(files) == {name: name for name in files}
    read_all(LoraIdentities(cache), files)
    known = service.known(files)
    assert all(len(identity) == 16 for identity in known.values())
    assert len({*known.values()}) == 2
    alone = LoraIdentities().known(files[:1])
    assert alone == {files[0]: known[files[0]]}


def test_names_that_are_no_files_stand_for_themselves() -> None:
    names = ["maker/loras/ink.safetensors", "x" * 300]
    identities = LoraIdentities()
    assert identities.known(names) == {name: name for name in names}
    read_all(identities, names)
