"""Files of weights as people have them: in the names of the original release, of real and tiny shapes."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKLWan, WanTransformer3DModel, WanVACETransformer3DModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from moc_engine.models.wan.tensor_names import text_encoder_name, transformer_name, vae_name
from moc_engine.models.wan.variants import CONFIGS

Shapes = Mapping[str, tuple[int, ...]]


def transformer_names(
    layers: int, *, image: bool = False, positions: bool = False, hints: int = 0
) -> Iterator[str]:
    """The tensors of a Wan transformer, or a VACE one with `hints`, as the original release names them."""
    both = ("weight", "bias")
    for module in ("patch_embedding", "text_embedding.0", "text_embedding.2", "time_embedding.0"):
        yield from (f"{module}.{end}" for end in both)
    for module in ("time_embedding.2", "time_projection.1", "head.head"):
        yield from (f"{module}.{end}" for end in both)
    yield "head.modulation"
    if image:
        yield from (f"img_emb.proj.{n}.{end}" for n in (0, 1, 3, 4) for end in both)
    if positions:
        yield "img_emb.emb_pos"
    if hints:
        yield from (f"vace_patch_embedding.{end}" for end in both)
        yield from (f"vace_blocks.0.before_proj.{end}" for end in both)
    yield from (f"vace_blocks.{n}.after_proj.{end}" for n in range(hints) for end in both)
    blocks = (*(f"blocks.{n}" for n in range(layers)), *(f"vace_blocks.{n}" for n in range(hints)))
    for block in blocks:
        yield f"{block}.modulation"
        yield from (f"{block}.{module}.{end}" for module in ("norm3", "ffn.0", "ffn.2") for end in both)
        for attention in ("self_attn", "cross_attn"):
            yield from (f"{block}.{attention}.{module}.{end}" for module in "qkvo" for end in both)
            yield from (f"{block}.{attention}.{module}.weight" for module in ("norm_q", "norm_k"))
        if image:
            yield from (f"{block}.cross_attn.{module}.{end}" for module in ("k_img", "v_img") for end in both)
            yield f"{block}.cross_attn.norm_k_img.weight"


def _residual(place: str, shortcut: bool) -> Iterator[str]:
    yield from (f"{place}.residual.{n}.gamma" for n in (0, 3))
    yield from (f"{place}.residual.{n}.{end}" for n in (2, 6) for end in ("weight", "bias"))
    if shortcut:
        yield from (f"{place}.shortcut.{end}" for end in ("weight", "bias"))


def _resample(place: str, over_time: bool) -> Iterator[str]:
    yield from (f"{place}.resample.1.{end}" for end in ("weight", "bias"))
    if over_time:
        yield from (f"{place}.time_conv.{end}" for end in ("weight", "bias"))


def _ends(side: str) -> Iterator[str]:
    yield from (f"{side}.{module}.{end}" for module in ("conv1", "head.2") for end in ("weight", "bias"))
    yield f"{side}.head.0.gamma"
    yield from _residual(f"{side}.middle.0", False)
    yield from _residual(f"{side}.middle.2", False)
    yield f"{side}.middle.1.norm.gamma"
    yield from (f"{side}.middle.1.{m}.{end}" for m in ("to_qkv", "proj") for end in ("weight", "bias"))


def vae_names(version: str) -> Iterator[str]:
    """The tensors of Wan 2.1's or 2.2's autoencoder as the original release names them."""
    yield from (f"{module}.{end}" for module in ("conv1", "conv2") for end in ("weight", "bias"))
    yield from (*_ends("encoder"), *_ends("decoder"))
    if version == "wan2.2":
        for block in range(4):
            down, up = f"encoder.downsamples.{block}.downsamples", f"decoder.upsamples.{block}.upsamples"
            yield from _residual(f"{down}.0", block in (1, 2))
            yield from _residual(f"{down}.1", False)
            yield from _residual(f"{up}.0", block in (2, 3))
            yield from (name for n in (1, 2) for name in _residual(f"{up}.{n}", False))
            if block < 3:
                yield from _resample(f"{down}.2", block in (1, 2))
                yield from _resample(f"{up}.3", block in (0, 1))
        return
    for place in (0, 1, 3, 4, 6, 7, 9, 10):
        yield from _residual(f"encoder.downsamples.{place}", place in (3, 6))
    for place, over_time in ((2, False), (5, True), (8, True)):
        yield from _resample(f"encoder.downsamples.{place}", over_time)
    for place in (0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14):
        yield from _residual(f"decoder.upsamples.{place}", place == 4)
    for place, over_time in ((3, True), (7, True), (11, False)):
        yield from _resample(f"decoder.upsamples.{place}", over_time)


@cache
def empty_shapes(kind: Any, config: Path) -> Shapes:
    """The tensors that a part of diffusers has by its configuration."""
    with init_empty_weights():
        part = kind.from_config(kind.load_config(config))
    return {name: tuple(tensor.shape) for name, tensor in part.state_dict().items()}


@cache
def published_transformer(config: str) -> Shapes:
    """The tensors of a published transformer in its original names."""
    folder = CONFIGS / "transformer" / config
    said = json.loads((folder / "config.json").read_text())
    hints = len(said.get("vace_layers", ()))
    shapes = empty_shapes(WanVACETransformer3DModel if hints else WanTransformer3DModel, folder)
    names = transformer_names(
        said["num_layers"],
        image=said["image_dim"] is not None,
        positions=said["pos_embed_seq_len"] is not None,
        hints=hints,
    )
    return {name: shapes[transformer_name(name)] for name in names}


@cache
def published_vae(version: str) -> Shapes:
    """The tensors of a published autoencoder in its original names."""
    shapes = empty_shapes(AutoencoderKLWan, CONFIGS / "vae" / version)
    return {name: shapes[vae_name(name)] for name in vae_names(version)}


def write_sparse(file: Path, shapes: Shapes, dtype: str = "F16", size: int = 2, prefix: str = "") -> Path:
    """A safetensors file of this header whose weights are a hole: it takes no room on the disk."""
    at = 0
    header: dict[str, Any] = {}
    for name, shape in shapes.items():
        count = size
        for side in shape:
            count *= side
        header[prefix + name] = {"dtype": dtype, "shape": [*shape], "data_offsets": [at, at + count]}
        at += count
    text = json.dumps(header).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + at)
    return file


def umt5_shapes() -> Shapes:
    """Tensors by which ComfyUI's UMT5-XXL is recognised, with the tokenizer that it carries."""
    return {
        "shared.weight": (256384, 4096),
        "encoder.final_layer_norm.weight": (4096,),
        "encoder.block.0.layer.0.SelfAttention.q.weight": (4096, 4096),
        "spiece_model": (100,),
    }


def clip_shapes() -> Shapes:
    """Tensors by which ComfyUI's clip_vision_h is recognised."""
    layers = {f"vision_model.encoder.layers.{n}.layer_norm1.weight": (1280,) for n in range(32)}
    return {
        "vision_model.embeddings.patch_embedding.weight": (1280, 3, 14, 14),
        **layers,
        "visual_projection.weight": (1024, 1280),
    }


def original_names(folder: Path, part: str) -> dict[str, Tensor]:
    """The weights of a tiny pipeline's part in the names of the original release."""
    (file,) = (folder / part).glob("*.safetensors")
    weights = load_file(file)
    if part == "text_encoder":
        names = {
            "token_embedding.weight",
            "norm.weight",
            "blocks.0.norm1.weight",
            "blocks.0.norm2.weight",
            "blocks.0.pos_embedding.embedding.weight",
            *(f"blocks.0.attn.{module}.weight" for module in "qkvo"),
            *(f"blocks.0.ffn.{module}.weight" for module in ("gate.0", "fc1", "fc2")),
        }
        return {name: weights[text_encoder_name(name)] for name in names}
    if part == "vae":
        return {name: weights[vae_name(name)] for name in vae_names("wan2.1") if vae_name(name) in weights}
    config = json.loads((folder / part / "config.json").read_text())
    hints = len(config.get("vace_layers", ()))
    all_names = transformer_names(config["num_layers"], hints=hints)
    names = {name for name in all_names if transformer_name(name) in weights}
    return {name: weights[transformer_name(name)] for name in names}


def spiece_model(pieces: Mapping[str, float], table: bytes = b"") -> bytes:
    """A SentencePiece model of these pieces with their scores."""

    def field(number: int, value: bytes) -> bytes:
        return bytes([number << 3 | 2, *_varint(len(value))]) + value

    records = [
        field(1, field(1, text.encode()) + b"\x15" + struct.pack("<f", score) + b"\x18\x01")
        for text, score in pieces.items()
    ]
    return b"".join(records) + field(3, field(1, b"nmt_nfkc") + (field(2, table) if table else b""))


def _varint(value: int) -> list[int]:
    return [value] if value < 128 else [value & 127 | 128, *_varint(value >> 7)]


def save_weights(file: Path, weights: Mapping[str, Tensor], *, tokenizer: bytes = b"") -> Path:
    """A safetensors file; with the bytes of a tokenizer, as ComfyUI's text encoders carry it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    own = {"spiece_model": torch.tensor([*tokenizer], dtype=torch.uint8)} if tokenizer else {}
    save_file({name: tensor.contiguous().clone() for name, tensor in weights.items()} | own, file)
    return file
