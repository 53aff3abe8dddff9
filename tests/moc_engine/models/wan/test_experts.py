"""The experts of a model are told by the names of their files, and paired by them."""

from __future__ import annotations

from pathlib import Path

import pytest

from moc_engine.models.wan.experts import expert_of, other_expert


@pytest.mark.parametrize(
    ("name", "expert"),
    [
        ("wan2.2_t2v_high_noise_14B_fp16.safetensors", "high"),
        ("Wan2.2-I2V-A14B-LowNoise-Q8_0.gguf", "low"),
        ("Wan2_2-I2V-A14B-HIGH_fp8_e4m3fn_scaled_KJ.safetensors", "high"),
        ("wan2.1_high_quality.safetensors", None),
        ("wan2.1_t2v_14B_fp16.safetensors", None),
        ("slowNoise.safetensors", None),
    ],
)
def test_experts_are_told_by_name(name: str, expert: str | None) -> None:
    assert expert_of(Path(name)) == expert


def test_experts_are_paired_by_name(tmp_path: Path) -> None:
    kinds = [(kind, noise) for kind in ("i2v", "t2v") for noise in ("high", "low")]
    names = [f"wan2.2_{kind}_{noise}_noise_14B.safetensors" for kind, noise in kinds]
    for name in names:
        (tmp_path / name).touch()
    assert other_expert(tmp_path / names[2]) == tmp_path / names[3]
    assert other_expert(tmp_path / names[1]) == tmp_path / names[0]
    (tmp_path / names[3]).unlink()
    assert other_expert(tmp_path / names[2]) is None
