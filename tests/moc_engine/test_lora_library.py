"""The LoRA files of a folder: what is told of each, and of one that cannot be loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from moc_engine.errors import EngineError
from moc_engine.lora_library import LibraryLora, describe_lora, loras_here
from tests.fakes.weights_files import write_sparse

LAYER = "diffusion_model.blocks.0.self_attn.q"
SHAPES = {f"{LAYER}.lora_A.weight": (32, 3072), f"{LAYER}.lora_B.weight": (3072, 32)}


def test_the_loras_of_a_folder_are_told_once_each(tmp_path: Path) -> None:
    ink = tmp_path / "ink_high_noise.safetensors"
    write_sparse(ink, SHAPES)
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"none")
    other, found = loras_here([tmp_path, tmp_path], comfyui=[])[:2]
    assert found == LibraryLora(
        name="ink_high_noise",
        file=str(ink),
        size=ink.stat().st_size,
        rank=32,
        layout="comfyui",
        expert="high",
    )
    assert (other.file, other.rank) == (str(broken), 0)
    assert other.problem is not None
    assert "damaged" in other.problem


def test_a_file_is_described_where_it_is_a_lora(tmp_path: Path) -> None:
    ink, whole = tmp_path / "ink.safetensors", tmp_path / "whole.safetensors"
    write_sparse(ink, SHAPES)
    write_sparse(whole, {f"{LAYER}.weight": (3072, 3072)})
    found = describe_lora(ink)
    assert found is not None
    assert (found.rank, found.expert, found.problem) == (32, None, None)
    assert describe_lora(whole) is None
    assert describe_lora(tmp_path / "model.gguf") is None
    write_sparse(tmp_path / "lokr.safetensors", {f"{LAYER}.lora_x.lokr_w1": (4, 8)})
    with pytest.raises(EngineError, match="is a LoKr"):
        describe_lora(tmp_path / "lokr.safetensors")
