"""Parts are kept whole, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from moc_engine.training.data.footage.made_parts import MadeParts


def test_parts_are_read_as_they_were_written(tmp_path: Path) -> None:
    made = torch.randn(2, 3).bfloat16()
    MadeParts(tmp_path / "made").write("a", made)
    parts = MadeParts(tmp_path / "made")
    found = parts.read("a")
    assert found is not None
    torch.testing.assert_close(found, made, rtol=0, atol=0)
    assert "a" in parts
    assert "b" not in parts
    assert parts.read("b") is None
    parts.remove("a")
    parts.remove("b")
    assert "a" not in parts
    parts.clear()
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("damage", ["cut", "changed", "empty"])
def test_a_damaged_part_counts_as_missing(tmp_path: Path, damage: str) -> None:
    parts = MadeParts(tmp_path)
    parts.write("a", torch.ones(64))
    (file,) = tmp_path.iterdir()
    data = bytearray(file.read_bytes())
    data[-3] ^= 1
    damages: dict[str, bytearray] = {"cut": data[:-9], "changed": data, "empty": bytearray()}
    file.write_bytes(damages[damage])
    assert parts.read("a") is None
