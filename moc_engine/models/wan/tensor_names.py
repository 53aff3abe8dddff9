"""The names of tensors in files of Wan models, in the names of diffusers and transformers. No torch.

The original release and ComfyUI number the modules of a sequence; diffusers names them.
"""

from __future__ import annotations

import re
from typing import Final

_PREFIXES: Final = ("model.diffusion_model.", "diffusion_model.")

_TRANSFORMER: Final = (
    (r"^time_embedding\.0\.", "condition_embedder.time_embedder.linear_1."),
    (r"^time_embedding\.2\.", "condition_embedder.time_embedder.linear_2."),
    (r"^text_embedding\.0\.", "condition_embedder.text_embedder.linear_1."),
    (r"^text_embedding\.2\.", "condition_embedder.text_embedder.linear_2."),
    (r"^time_projection\.1\.", "condition_embedder.time_proj."),
    (r"^img_emb\.proj\.0\.", "condition_embedder.image_embedder.norm1."),
    (r"^img_emb\.proj\.1\.", "condition_embedder.image_embedder.ff.net.0.proj."),
    (r"^img_emb\.proj\.3\.", "condition_embedder.image_embedder.ff.net.2."),
    (r"^img_emb\.proj\.4\.", "condition_embedder.image_embedder.norm2."),
    (r"^img_emb\.emb_pos$", "condition_embedder.image_embedder.pos_embed"),
    (r"^head\.modulation$", "scale_shift_table"),
    (r"^head\.head\.", "proj_out."),
    (r"^((?:vace_)?blocks\.\d+)\.modulation$", r"\1.scale_shift_table"),
    (r"^((?:vace_)?blocks\.\d+)\.ffn\.0\.", r"\1.ffn.net.0.proj."),
    (r"^((?:vace_)?blocks\.\d+)\.ffn\.2\.", r"\1.ffn.net.2."),
    (r"^((?:vace_)?blocks\.\d+)\.norm3\.", r"\1.norm2."),
    (r"^((?:vace_)?blocks\.\d+)\.self_attn\.", r"\1.attn1."),
    (r"^((?:vace_)?blocks\.\d+)\.cross_attn\.", r"\1.attn2."),
    (r"^(vace_blocks\.\d+)\.before_proj\.", r"\1.proj_in."),
    (r"^(vace_blocks\.\d+)\.after_proj\.", r"\1.proj_out."),
    (r"\.(attn[12])\.([qkv])\.", r".\1.to_\2."),
    (r"\.(attn[12])\.o\.", r".\1.to_out.0."),
    (r"\.attn2\.([kv])_img\.", r".attn2.add_\1_proj."),
    (r"\.attn2\.norm_k_img\.", ".attn2.norm_added_k."),
)

_VAE: Final = (
    (r"^conv1\.", "quant_conv."),
    (r"^conv2\.", "post_quant_conv."),
    (r"^(encoder|decoder)\.conv1\.", r"\1.conv_in."),
    (r"^(encoder|decoder)\.head\.0\.", r"\1.norm_out."),
    (r"^(encoder|decoder)\.head\.2\.", r"\1.conv_out."),
    (r"^(encoder|decoder)\.middle\.0\.", r"\1.mid_block.resnets.0."),
    (r"^(encoder|decoder)\.middle\.1\.", r"\1.mid_block.attentions.0."),
    (r"^(encoder|decoder)\.middle\.2\.", r"\1.mid_block.resnets.1."),
    (r"\.residual\.0\.", ".norm1."),
    (r"\.residual\.2\.", ".conv1."),
    (r"\.residual\.3\.", ".norm2."),
    (r"\.residual\.6\.", ".conv2."),
    (r"\.shortcut\.", ".conv_shortcut."),
    # Wan 2.2: each block lists its residual blocks, then what changes the size
    (
        r"^encoder\.downsamples\.(\d+)\.downsamples\.(\d+)\.(resample|time_conv)\b",
        r"encoder.down_blocks.\1.downsampler.\3",
    ),
    (r"^encoder\.downsamples\.(\d+)\.downsamples\.(\d+)\.", r"encoder.down_blocks.\1.resnets.\2."),
    (
        r"^decoder\.upsamples\.(\d+)\.upsamples\.(\d+)\.(resample|time_conv)\b",
        r"decoder.up_blocks.\1.upsampler.\3",
    ),
    (r"^decoder\.upsamples\.(\d+)\.upsamples\.(\d+)\.", r"decoder.up_blocks.\1.resnets.\2."),
    # Wan 2.1: one list through all blocks
    (r"^encoder\.downsamples\.", "encoder.down_blocks."),
)

_UPSAMPLE: Final = re.compile(r"^decoder\.upsamples\.(\d+)\.(.*)")

_TEXT_ENCODER: Final = (
    (r"^token_embedding\.", "shared."),
    (r"^norm\.", "encoder.final_layer_norm."),
    (r"^blocks\.(\d+)\.norm1\.", r"encoder.block.\1.layer.0.layer_norm."),
    (r"^blocks\.(\d+)\.attn\.([qkvo])\.", r"encoder.block.\1.layer.0.SelfAttention.\2."),
    (
        r"^blocks\.(\d+)\.pos_embedding\.embedding\.",
        r"encoder.block.\1.layer.0.SelfAttention.relative_attention_bias.",
    ),
    (r"^blocks\.(\d+)\.norm2\.", r"encoder.block.\1.layer.1.layer_norm."),
    (r"^blocks\.(\d+)\.ffn\.gate\.0\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_0."),
    (r"^blocks\.(\d+)\.ffn\.fc1\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_1."),
    (r"^blocks\.(\d+)\.ffn\.fc2\.", r"encoder.block.\1.layer.1.DenseReluDense.wo."),
    # GGUF
    (r"^token_embd\.", "shared."),
    (r"^enc\.output_norm\.", "encoder.final_layer_norm."),
    (r"^enc\.blk\.(\d+)\.attn_norm\.", r"encoder.block.\1.layer.0.layer_norm."),
    (r"^enc\.blk\.(\d+)\.attn_([qkvo])\.", r"encoder.block.\1.layer.0.SelfAttention.\2."),
    (r"^enc\.blk\.(\d+)\.attn_rel_b\.", r"encoder.block.\1.layer.0.SelfAttention.relative_attention_bias."),
    (r"^enc\.blk\.(\d+)\.ffn_norm\.", r"encoder.block.\1.layer.1.layer_norm."),
    (r"^enc\.blk\.(\d+)\.ffn_gate\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_0."),
    (r"^enc\.blk\.(\d+)\.ffn_up\.", r"encoder.block.\1.layer.1.DenseReluDense.wi_1."),
    (r"^enc\.blk\.(\d+)\.ffn_down\.", r"encoder.block.\1.layer.1.DenseReluDense.wo."),
)

RESNETS: Final = 3
"""Residual blocks of a block of Wan 2.1's decoder, after which it changes the size."""


def without_prefix(name: str) -> str:
    """A tensor's name without the prefix that files of whole checkpoints have."""
    return next((name[len(prefix) :] for prefix in _PREFIXES if name.startswith(prefix)), name)


def transformer_name(name: str) -> str:
    """A transformer's tensor in the names of diffusers, which stay as they are."""
    return _renamed(without_prefix(name), _TRANSFORMER)


def vae_name(name: str) -> str:
    """An autoencoder's tensor in the names of diffusers, which stay as they are."""
    renamed = _renamed(without_prefix(name), _VAE)
    flat = _UPSAMPLE.match(renamed)
    if flat is None:
        return renamed
    block, place = divmod(int(flat[1]), RESNETS + 1)
    inside = f"resnets.{place}" if place < RESNETS else "upsamplers.0"
    return f"decoder.up_blocks.{block}.{inside}.{flat[2]}"


def text_encoder_name(name: str) -> str:
    """A text encoder's tensor in the names of transformers, which stay as they are."""
    return _renamed(without_prefix(name), _TEXT_ENCODER)


def diffusers_name(name: str) -> str:
    """A transformer's or an autoencoder's tensor in the names of diffusers."""
    return (
        vae_name(name)
        if name.startswith(("encoder.", "decoder.", "conv1.", "conv2."))
        else transformer_name(name)
    )


def _renamed(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name
