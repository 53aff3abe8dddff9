"""Whether LoRA files fit HunyuanVideo, told from headers alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from moc_engine.errors import EngineError
from moc_engine.lora_check import check_lora
from tests.fakes.hunyuan_folder import hunyuan_folder, hunyuan_transformer
from tests.fakes.loras import diffusers_keys, factors, save_lora
from tests.fakes.weights_files import write_sparse


def test_loras_of_other_models_are_refused(tmp_path: Path) -> None:
    hunyuan_folder(tmp_path / "model")
    right = tmp_path / "right.safetensors"
    save_lora(right, diffusers_keys(factors(hunyuan_transformer())))
    check_lora(str(tmp_path / "model"), str(right))
    key = "diffusion_model.blocks.0.self_attn.q"
    shapes = {f"{key}.lora_A.weight": (8, 3072), f"{key}.lora_B.weight": (3072, 8)}
    wan = write_sparse(tmp_path / "wan.safetensors", shapes)
    with pytest.raises(EngineError, match=r"made for another model \(Wan 2\.2 TI2V 5B\): this one has no"):
        check_lora(str(tmp_path / "model"), str(wan))
    key = "diffusion_model.double_blocks.0.img_attn_qkv"
    shapes = {f"{key}.lora_A.weight": (8, 3072), f"{key}.lora_B.weight": (9216, 8)}
    wide = write_sparse(tmp_path / "wide.safetensors", shapes)
    with pytest.raises(EngineError, match=r"to_q has 3072 inputs, this model's \d+"):
        check_lora(str(tmp_path / "model"), str(wide))
