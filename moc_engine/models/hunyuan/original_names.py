"""The names of HunyuanVideo's original release for the modules of its transformer, in those of diffusers.

Files of ComfyUI, GGUF files and most LoRAs have the original names, where one layer makes queries, keys and
values (and in single-stream blocks the feed-forward layer too); diffusers has a layer for each. ComfyUI's own
spellings, and names with "_" for each "." as kohya's trainers write them, are read as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

PREFIXES: Final = ("model.diffusion_model.", "model.model.", "diffusion_model.", "transformer.", "lora_unet_")

SWAPPED: Final = "norm_out.linear"
"""The layer whose two halves, shift and scale, are in the other order at diffusers."""

_STREAM: Final[Mapping[str, tuple[str, ...]]] = {
    "mod_linear": ("norm1{0}.linear",),
    "mod_lin": ("norm1{0}.linear",),
    "mlp_fc1": ("ff{0}.net.0.proj",),
    "mlp_0": ("ff{0}.net.0.proj",),
    "mlp_fc2": ("ff{0}.net.2",),
    "mlp_2": ("ff{0}.net.2",),
}
"""The layers of a stream of a double-stream block; {0} tells the captions' from the video's."""

_DOUBLE: Final[Mapping[str, tuple[str, ...]]] = {
    "img_attn_qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "img_attn_proj": ("attn.to_out.0",),
    "img_attn_q_norm": ("attn.norm_q",),
    "img_attn_norm_query_norm": ("attn.norm_q",),
    "img_attn_k_norm": ("attn.norm_k",),
    "img_attn_norm_key_norm": ("attn.norm_k",),
    "txt_attn_qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "txt_attn_proj": ("attn.to_add_out",),
    "txt_attn_q_norm": ("attn.norm_added_q",),
    "txt_attn_norm_query_norm": ("attn.norm_added_q",),
    "txt_attn_k_norm": ("attn.norm_added_k",),
    "txt_attn_norm_key_norm": ("attn.norm_added_k",),
    **{
        f"{stream}_{layer}": tuple(name.format(suffix) for name in names)
        for stream, suffix in (("img", ""), ("txt", "_context"))
        for layer, names in _STREAM.items()
    },
}

_SINGLE: Final[Mapping[str, tuple[str, ...]]] = {
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
    "linear2": ("proj_out",),
    "q_norm": ("attn.norm_q",),
    "norm_query_norm": ("attn.norm_q",),
    "k_norm": ("attn.norm_k",),
    "norm_key_norm": ("attn.norm_k",),
    "modulation_linear": ("norm.linear",),
    "modulation_lin": ("norm.linear",),
}

_REFINER: Final[Mapping[str, tuple[str, ...]]] = {
    "norm1": ("norm1",),
    "norm2": ("norm2",),
    "self_attn_qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "self_attn_proj": ("attn.to_out.0",),
    "mlp_fc1": ("ff.net.0.proj",),
    "mlp_0": ("ff.net.0.proj",),
    "mlp_fc2": ("ff.net.2",),
    "mlp_2": ("ff.net.2",),
    "adaLN_modulation_1": ("norm_out.linear",),
}

_BLOCKS: Final = (
    (re.compile(r"double_blocks_(\d+)_(\w+)"), "transformer_blocks", _DOUBLE),
    (re.compile(r"single_blocks_(\d+)_(\w+)"), "single_transformer_blocks", _SINGLE),
    (
        re.compile(r"txt_in_individual_token_refiner_blocks_(\d+)_(\w+)"),
        "context_embedder.token_refiner.refiner_blocks",
        _REFINER,
    ),
)

_EMBEDDINGS: Final[Mapping[str, str]] = {
    "img_in_proj": "x_embedder.proj",
    "vector_in_in_layer": "time_text_embed.text_embedder.linear_1",
    "vector_in_out_layer": "time_text_embed.text_embedder.linear_2",
    "txt_in_input_embedder": "context_embedder.proj_in",
    "txt_in_c_embedder_linear_1": "context_embedder.time_text_embed.text_embedder.linear_1",
    "txt_in_c_embedder_in_layer": "context_embedder.time_text_embed.text_embedder.linear_1",
    "txt_in_c_embedder_linear_2": "context_embedder.time_text_embed.text_embedder.linear_2",
    "txt_in_c_embedder_out_layer": "context_embedder.time_text_embed.text_embedder.linear_2",
    "final_layer_linear": "proj_out",
    "final_layer_adaLN_modulation_1": SWAPPED,
    **{
        f"{original}_{layer}": f"{name}.linear_{nth}"
        for original, name in (
            ("time_in", "time_text_embed.timestep_embedder"),
            ("guidance_in", "time_text_embed.guidance_embedder"),
            ("txt_in_t_embedder", "context_embedder.time_text_embed.timestep_embedder"),
        )
        for layer, nth in (("mlp_0", 1), ("in_layer", 1), ("mlp_2", 2), ("out_layer", 2))
    },
}


def without_prefix(name: str) -> str:
    """A tensor's name without the prefix that files of whole checkpoints and of LoRAs have."""
    return next((name[len(prefix) :] for prefix in PREFIXES if name.startswith(prefix)), name)


def modules_of(name: str) -> tuple[str, ...]:
    """The modules of diffusers whose rows, one after another, are those of a module of the original release.

    Empty for a name that is none of the original release's. Without prefix.
    """
    joined = name.replace(".", "_")
    if joined in _EMBEDDINGS:
        return (_EMBEDDINGS[joined],)
    for pattern, blocks, layers in _BLOCKS:
        found = pattern.fullmatch(joined)
        if found is not None:
            return tuple(f"{blocks}.{found[1]}.{layer}" for layer in layers.get(found[2], ()))
    return ()


def arranged(name: str, tensor: Any, width: int) -> dict[str, Any]:
    """A tensor of a file as those of diffusers, whose names stay; `width` is that of the transformer."""
    plain = without_prefix(name)
    module, _, kind = plain.rpartition(".")
    names = modules_of(module)
    if not names:
        return {plain: tensor}
    kind = "weight" if kind == "scale" else kind
    if names == (SWAPPED,):
        shift, scale = tensor.chunk(2)
        return {f"{SWAPPED}.{kind}": _after_one_another(scale, shift)}
    if len(names) == 1:
        return {f"{names[0]}.{kind}": tensor}
    widths = [width] * 3 + [len(tensor) - 3 * width] * (len(names) - 3)
    return {f"{own}.{kind}": rows for own, rows in zip(names, tensor.split(widths), strict=True)}


def _after_one_another(*halves: Any) -> Any:
    from torch import cat  # names alone need none

    return cat(halves)
