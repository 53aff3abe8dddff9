"""The tensors of a Wan transformer with a config.json, in the names of diffusers. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

Shapes = Mapping[str, tuple[int, ...]]


def tensors_of_config(config: Mapping[str, Any]) -> Shapes:
    """Names and shapes of all tensors of a Wan transformer, or of a VACE one, with this config.json."""
    width = config["num_attention_heads"] * config["attention_head_dim"]
    tensors: dict[str, tuple[int, ...]] = {"scale_shift_table": (1, 2, width)}
    for layer, (outputs, inputs) in layers_of_config(config).items():
        tensors |= {f"{layer}.weight": (outputs, inputs), f"{layer}.bias": (outputs,)}
    embeddings = {"patch_embedding": config["in_channels"]}
    if config.get("vace_layers"):
        embeddings["vace_patch_embedding"] = config["vace_in_channels"]
    for embedding, channels in embeddings.items():
        tensors[f"{embedding}.weight"] = (width, channels, *config["patch_size"])
        tensors[f"{embedding}.bias"] = (width,)
    if (image := config.get("image_dim")) is not None:
        embedder = "condition_embedder.image_embedder"
        for norm, size in (("norm1", image), ("norm2", width)):
            tensors |= {f"{embedder}.{norm}.{part}": (size,) for part in ("weight", "bias")}
        if (positions := config.get("pos_embed_seq_len")) is not None:
            tensors[f"{embedder}.pos_embed"] = (1, positions, image)
    for block in _blocks(config):
        tensors[f"{block}.scale_shift_table"] = (1, 6, width)
        tensors |= {f"{block}.norm2.{part}": (width,) for part in ("weight", "bias")}
        for attention in ("attn1", "attn2"):
            tensors |= {f"{block}.{attention}.{norm}.weight": (width,) for norm in ("norm_q", "norm_k")}
        if config.get("added_kv_proj_dim") is not None:
            tensors[f"{block}.attn2.norm_added_k.weight"] = (width,)
    return tensors


def layers_of_config(config: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """The linear layers of a `WanTransformer3DModel`, or of a VACE one, with this config.json."""
    width = config["num_attention_heads"] * config["attention_head_dim"]
    embedder = "condition_embedder"
    layers = {
        f"{embedder}.time_embedder.linear_1": (width, config["freq_dim"]),
        f"{embedder}.time_embedder.linear_2": (width, width),
        f"{embedder}.time_proj": (6 * width, width),
        f"{embedder}.text_embedder.linear_1": (width, config["text_dim"]),
        f"{embedder}.text_embedder.linear_2": (width, width),
        "proj_out": (config["out_channels"] * prod(config["patch_size"]), width),
    }
    if (image := config.get("image_dim")) is not None:
        layers[f"{embedder}.image_embedder.ff.net.0.proj"] = (image, image)
        layers[f"{embedder}.image_embedder.ff.net.2"] = (width, image)
    added, ffn = config.get("added_kv_proj_dim"), config["ffn_dim"]
    for block in _blocks(config):
        if block.startswith("vace_"):
            layers[f"{block}.proj_out"] = (width, width)
        if block == "vace_blocks.0":
            layers[f"{block}.proj_in"] = (width, width)
        for attention in ("attn1", "attn2"):
            for projection in ("to_q", "to_k", "to_v", "to_out.0"):
                layers[f"{block}.{attention}.{projection}"] = (width, width)
        if added is not None:
            for projection in ("add_k_proj", "add_v_proj"):
                layers[f"{block}.attn2.{projection}"] = (width, added)
        layers[f"{block}.ffn.net.0.proj"] = (ffn, width)
        layers[f"{block}.ffn.net.2"] = (width, ffn)
    return layers


def _blocks(config: Mapping[str, Any]) -> list[str]:
    """The names of the blocks, and of those of VACE."""
    blocks = [f"blocks.{nth}" for nth in range(config["num_layers"])]
    return blocks + [f"vace_blocks.{nth}" for nth in range(len(config.get("vace_layers") or ()))]
