"""Parts from single files equal those of a folder; what cannot be read right is refused in words."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import dequantize, quantize
from torch import Tensor
from transformers import UMT5Config, UMT5EncoderModel

from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.models.single_file import load_from_file
from moc_engine.models.wan.tensor_names import text_encoder_name, transformer_name, vae_name
from moc_engine.sources.parts import PartSource
from tests.fakes.models import save_tiny_video, tiny_transformer
from tests.fakes.wan_folders import vace_denoiser
from tests.fakes.weights_files import original_names, save_weights

PARTS: Mapping[str, tuple[Any, Any]] = {
    "transformer": (WanTransformer3DModel, transformer_name),
    "vae": (AutoencoderKLWan, vae_name),
    "text_encoder": (UMT5EncoderModel, text_encoder_name),
}


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("video")
    save_tiny_video(folder)
    torch.manual_seed(0)
    autoencoder = AutoencoderKLWan(base_dim=4, z_dim=4)  # as many residual blocks as the published ones
    autoencoder.save_pretrained(folder / "vae", safe_serialization=True)
    return folder


def source(file: Path, folder: Path, part: str) -> PartSource:
    return PartSource(path=file, config=folder / part, names=PARTS[part][1])


def same(one: Any, other: Any) -> bool:
    a, b = one.state_dict(), other.state_dict()
    return a.keys() == b.keys() and all(a[n].dtype == b[n].dtype and torch.equal(a[n], b[n]) for n in a)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_part_of_original_names_equals_that_of_a_folder(
    video: Path, tmp_path: Path, part: str, dtype: torch.dtype
) -> None:
    file = save_weights(tmp_path / "x.safetensors", original_names(video, part))
    kind = PARTS[part][0]
    loaded = load_from_file(kind, source(file, video, part), dtype=dtype)
    assert same(loaded, kind.from_pretrained(video / part, dtype=dtype))
    assert not loaded.training


def scaled(weights: Mapping[str, Tensor], *, scale: str, mark: bytes | None) -> dict[str, Tensor]:
    """The weights of linear layers in 8 bits with a scale each, as ComfyUI writes them."""
    made: dict[str, Tensor] = (
        {} if mark is not None else {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    )
    for name, tensor in weights.items():
        if not name.endswith(".weight") or tensor.dim() != 2:
            made[name] = tensor
            continue
        factor = tensor.abs().max() / 448
        made[name] = (tensor / factor).to(torch.float8_e4m3fn)
        made[name.removesuffix("weight") + scale] = factor.reshape(())
        if mark is not None:
            made[name.removesuffix("weight") + "comfy_quant"] = torch.tensor([*mark], dtype=torch.uint8)
    return made


MARK = b'{"format": "float8_e4m3fn"}'


@pytest.mark.parametrize(("scale", "mark"), [("scale_weight", None), ("weight_scale", MARK)])
def test_scaled_8_bit_weights_are_expanded(
    video: Path, tmp_path: Path, scale: str, mark: bytes | None
) -> None:
    weights = original_names(video, "transformer")
    file = save_weights(tmp_path / "fp8_scaled.safetensors", scaled(weights, scale=scale, mark=mark))
    loaded = load_from_file(WanTransformer3DModel, source(file, video, "transformer")).state_dict()
    for name, tensor in weights.items():
        got = loaded[transformer_name(name)]
        assert torch.allclose(got, tensor, atol=float(tensor.abs().max()) / 16), name
        assert got.abs().max() == pytest.approx(float(tensor.abs().max()), rel=0.07), name


def test_other_ways_of_storing_weights_are_refused_in_words(video: Path, tmp_path: Path) -> None:
    weights = original_names(video, "transformer")
    marked = scaled(weights, scale="weight_scale", mark=b'{"format": "nvfp4"}')
    file = save_weights(tmp_path / "nvfp4.safetensors", marked)
    with pytest.raises(ModelMismatch, match=r"weights stored as nvfp4 .* cannot be read; take"):
        load_from_file(WanTransformer3DModel, source(file, video, "transformer"))
    blocks = {**weights, "blocks.0.ffn.0.weight": weights["blocks.0.ffn.0.weight"].to(torch.float8_e4m3fn)}
    blocks["blocks.0.ffn.0.scale_weight"] = torch.ones(4, 3)
    file = save_weights(tmp_path / "blocks.safetensors", blocks)
    with pytest.raises(ModelMismatch, match=r"float8_e4m3fn with scales of shape \(4, 3\)"):
        load_from_file(WanTransformer3DModel, source(file, video, "transformer"))
    whole = {**weights, "blocks.0.ffn.0.weight": weights["blocks.0.ffn.0.weight"].to(torch.int8)}
    file = save_weights(tmp_path / "int8.safetensors", whole)
    with pytest.raises(ModelMismatch, match="is stored as int8"):
        load_from_file(WanTransformer3DModel, source(file, video, "transformer"))


def test_weights_unlike_the_configuration_are_refused(video: Path, tmp_path: Path) -> None:
    weights = original_names(video, "transformer")
    changes: Mapping[str, dict[str, Tensor]] = {
        "1 tensors are missing, such as proj_out.bias": {
            name: tensor for name, tensor in weights.items() if name != "head.head.bias"
        },
        "it has 1 tensors more, such as gate": {**weights, "gate": torch.zeros(3)},
        r"proj_out.bias has the shape \(3,\) and not \(16,\)": {**weights, "head.head.bias": torch.zeros(3)},
    }
    for problem, changed in changes.items():
        file = save_weights(tmp_path / "x.safetensors", changed)
        with pytest.raises(ModelMismatch, match=f"x.safetensors: its weights are not those .*: {problem}"):
            load_from_file(WanTransformer3DModel, source(file, video, "transformer"))


def test_a_file_that_is_cut_off_is_told(video: Path, tmp_path: Path) -> None:
    file = save_weights(tmp_path / "x.safetensors", original_names(video, "vae"))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelNotFound, match="is cut off"):
        load_from_file(AutoencoderKLWan, source(file, video, "vae"))


def is_quantised(name: str, tensor: Tensor) -> bool:
    return "blocks." in name and name.endswith(".weight") and tensor.dim() == 2


def write_gguf(
    file: Path, weights: Mapping[str, Tensor], packed: Callable[[str, Tensor], bool] = is_quantised
) -> Path:
    """Linear layers in 8 bits (Q8_0), the rest in float32, as quantised models are published."""
    writer = GGUFWriter(file, "wan")
    for name, tensor in weights.items():
        values = tensor.float().numpy()
        if packed(name, tensor):
            blocks = quantize(values, GGMLQuantizationType.Q8_0)
            writer.add_tensor(name, blocks, raw_dtype=GGMLQuantizationType.Q8_0)
        else:
            writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


GGUF_NAMES = {
    "token_embedding": "token_embd",
    "blocks.0.norm1": "enc.blk.0.attn_norm",
    "blocks.0.norm2": "enc.blk.0.ffn_norm",
    "blocks.0.pos_embedding.embedding": "enc.blk.0.attn_rel_b",
    **{f"blocks.0.attn.{part}": f"enc.blk.0.attn_{part}" for part in "qkvo"},
    "blocks.0.ffn.gate.0": "enc.blk.0.ffn_gate",
    "blocks.0.ffn.fc1": "enc.blk.0.ffn_up",
    "blocks.0.ffn.fc2": "enc.blk.0.ffn_down",
    "norm": "enc.output_norm",
}
"""Tensors of a text encoder as the original release names them, and as GGUF files do."""


def test_a_gguf_text_encoder_is_expanded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = UMT5Config(vocab_size=9, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=4)
    UMT5EncoderModel(config).save_pretrained(tmp_path / "text_encoder")
    weights = original_names(tmp_path, "text_encoder")
    packed = {name: tensor for name, tensor in weights.items() if tensor.dim() == 2 and "pos_" not in name}
    named = {f"{GGUF_NAMES[name.removesuffix('.weight')]}.weight": name for name in weights}
    file = write_gguf(
        tmp_path / "umt5-Q8_0.gguf",
        {name: weights[original] for name, original in named.items()},
        lambda name, tensor: named[name] in packed,
    )
    loaded = load_from_file(UMT5EncoderModel, source(file, tmp_path, "text_encoder"), dtype=torch.bfloat16)
    got = loaded.state_dict()
    for name, tensor in weights.items():
        wanted = tensor
        if name in packed:
            blocks = quantize(tensor.numpy(), GGMLQuantizationType.Q8_0)
            wanted = torch.from_numpy(dequantize(blocks, GGMLQuantizationType.Q8_0))
        assert torch.equal(got[text_encoder_name(name)], wanted.to(torch.bfloat16)), name
    assert torch.equal(got["encoder.embed_tokens.weight"], got["shared.weight"])


@pytest.mark.parametrize("make", [tiny_transformer, vace_denoiser])
def test_a_gguf_transformer_computes_with_its_quantised_weights(make: Any, tmp_path: Path) -> None:
    transformer = make(attention_head_dim=16, text_dim=32, in_channels=4, out_channels=4)
    kind = type(transformer)
    transformer.save_pretrained(tmp_path / "transformer", safe_serialization=True)
    weights = original_names(tmp_path, "transformer")
    file = write_gguf(tmp_path / "wan-Q8_0.gguf", weights)
    loaded = load_from_file(kind, source(file, tmp_path, "transformer"))
    for name, tensor in weights.items():
        if is_quantised(name, tensor):
            packed = quantize(tensor.numpy(), GGMLQuantizationType.Q8_0)
            tensor.copy_(torch.from_numpy(dequantize(packed, GGMLQuantizationType.Q8_0)))
    expanded = save_weights(tmp_path / "x.safetensors", weights)
    plain = load_from_file(kind, source(expanded, tmp_path, "transformer"))
    given = (torch.randn(1, 4, 2, 4, 4), torch.tensor([500.0]), torch.randn(1, 5, 32))
    control = {"control_hidden_states": torch.randn(1, 96, 2, 4, 4)} if make is vace_denoiser else {}
    with torch.no_grad():
        got, wanted = (model(*given, **control, return_dict=False)[0] for model in (loaded, plain))
    assert got.isfinite().all()
    assert torch.allclose(got, wanted, atol=1e-3)  # diffusers expands weights in half precision
    assert loaded.hf_quantizer is not None
    config = tmp_path / "transformer" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "ffn_dim": 64}))
    with pytest.raises(ModelMismatch, match="has the shape"):
        load_from_file(kind, source(file, tmp_path, "transformer"))
    assert np.isfinite(wanted.numpy()).all()
