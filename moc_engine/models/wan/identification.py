"""Which Wan model a single file belongs to, told by the names and shapes of its tensors. No torch.

Files keep the names of the original release or those of diffusers. What differs from every published model
is refused: a configuration is never guessed. The two experts of Wan 2.2 T2V A14B have the shapes of Wan 2.1
T2V 14B, and those of VACE-Fun the shapes of Wan 2.1 VACE 14B; their files are told by "high noise" or "low
noise" in their names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Final

from moc_engine.errors import ModelMismatch
from moc_engine.models.wan.experts import expert_of
from moc_engine.models.wan.tensor_names import diffusers_name, without_prefix
from moc_engine.models.wan.transformer_tensors import Shapes, tensors_of_config
from moc_engine.models.wan.variants import (
    CONFIGS,
    TEXT_ENCODER,
    TWO_EXPERTS,
    VAES,
    VARIANTS,
    transformer_config,
)
from moc_engine.sources.model_files import FilePart, Part
from moc_engine.sources.weights_header import SCALES, WeightsHeader


def identify(header: WeightsHeader) -> FilePart | None:
    """What a file is; None where it is no part of a Wan model.

    Raises `ModelMismatch` for a Wan transformer, autoencoder or text encoder unlike every published one.
    """
    names = {without_prefix(name): name for name in header.tensors}
    part = part_of(header)
    if part == "transformer":
        variant = VARIANTS[_transformer_variant(header, names)]
        return FilePart(part="transformer", variant=variant.name, title=variant.title)
    if "vace_patch_embedding.weight" in names:
        raise ModelMismatch(
            f"{header.path} holds VACE's layers alone, without the transformer that they belong to; take a "
            "file of the whole model, such as wan2.1_vace_14B"
        )
    if part == "vae":
        name = _vae(header, names)
        return None if name is None else FilePart(part="vae", variant=name, title=VAES[name])
    return _text_encoder(header, names) if part == "text_encoder" else None


def part_of(header: WeightsHeader) -> Part | None:
    """Which part of a model of Wan's kind a file is, of whatever size, by the names of its tensors."""
    names = {without_prefix(name): name for name in header.tensors}
    if any(re.search(r"\.lora_(A|B|down|up)\b", name) for name in names):
        return None
    if _is_transformer(names):
        return "transformer"
    if any(words <= names.keys() for words in _AUTOENCODERS):
        return "vae"
    return "text_encoder" if any(words <= names.keys() for words in _TEXT_ENCODERS) else None


_AUTOENCODERS: Final = (
    {"decoder.conv1.weight", "conv2.weight"},
    {"decoder.conv_in.weight", "post_quant_conv.weight"},
)
"""Tensors by which autoencoders are known: as the original release and diffusers name them."""


_TEXT_ENCODERS: Final = (
    {"shared.weight"},
    {"token_embedding.weight", "blocks.0.pos_embedding.embedding.weight"},
    {"token_embd.weight", "enc.blk.0.attn_rel_b.weight"},
)
"""Tensors by which text encoders of T5's kind are known: as transformers, the original release and GGUF files
name them."""


_STRANGERS: Final = {
    "audio_proj": "speech",
    "blocks.*.to_gate_compress": "video sparse attention",
    "blocks.*.attn1.to_gate_compress": "video sparse attention",
    "casual_audio_encoder": "speech",
    "control_adapter": "camera control",
    "face_adapter": "Wan Animate",
    "fps_embedding": "SkyReels V2",
    "motion_encoder": "Wan Animate",
    "pose_patch_embedding": "Wan Animate",
    "ref_conv": "reference pictures of Fun models",
}
"""What parts of models are that have the shape of Wan besides."""

_PACKED: Final = frozenset({"U8", "I8", "U16", "I16", "U32", "I32"})
"""Dtypes of weights of which several are packed into one number."""


def _is_transformer(names: Mapping[str, str]) -> bool:
    original = "head.modulation" in names and "patch_embedding.weight" in names
    return original or "condition_embedder.time_proj.weight" in names


def _transformer_variant(header: WeightsHeader, names: Mapping[str, str]) -> str:
    tensors = {
        diffusers_name(name): header.tensors[full]
        for name, full in names.items()
        if name.rsplit(".", 1)[-1] not in SCALES and not _is_beside_marked(name, names)
    }
    shapes = {name: None if tensor.dtype in _PACKED else tensor.shape for name, tensor in tensors.items()}
    found = [
        variant.name
        for variant in VARIANTS.values()
        if variant.name not in TWO_EXPERTS.values() and _are_those_of(shapes, variant.transformer)
    ]
    if not found:
        raise ModelMismatch(f"{header.path} is {_unlike_published(shapes)}")
    (name,) = found
    two = TWO_EXPERTS.get(name)
    if two is None or expert_of(header.path) is None:
        return name
    return two


def _is_beside_marked(name: str, names: Mapping[str, str]) -> bool:
    """Whether a tensor tells how the weight beside it is stored; loading reads that, or refuses it."""
    module, _, last = name.rpartition(".")
    return last not in ("weight", "bias") and f"{module}.comfy_quant" in names


def _are_those_of(shapes: Mapping[str, tuple[int, ...] | None], transformer: str) -> bool:
    """Whether names and shapes are all those of a published transformer; packed ones have the shape None."""
    wanted = _published(transformer)
    return shapes.keys() == wanted.keys() and all(
        shape is None or shape == wanted[name] for name, shape in shapes.items()
    )


def _unlike_published(shapes: Mapping[str, tuple[int, ...] | None]) -> str:
    """What tells a transformer from all that were published, in words."""
    strange = dict.fromkeys(part for name in shapes if (part := _strange_part(name)) is not None)
    if strange:
        named = [f"{part} ({_STRANGERS[part]})" if part in _STRANGERS else part for part in sorted(strange)]
        return f"a Wan model with parts that the engine does not drive: {', '.join(named)}"
    width, channels = (shapes.get("patch_embedding.weight") or (0, 0))[:2]
    layers = len({name.split(".")[1] for name in shapes if name.startswith("blocks.")})
    told = (
        f"a Wan transformer like none that was published ({layers} layers of width {width}, {channels} "
        "channels in)"
    )
    nearest = max(VARIANTS.values(), key=lambda variant: _shared(shapes, variant.transformer))
    wanted = _published(nearest.transformer)
    missing = sorted(wanted.keys() - shapes.keys())
    other = [name for name, shape in shapes.items() if name in wanted and shape not in (None, wanted[name])]
    if missing:
        told += f": of {nearest.title} it lacks {len(missing)} tensors, such as {missing[0]}"
    elif other:
        told += (
            f": in {nearest.title}, {other[0]} has the shape {wanted[other[0]]} and not {shapes[other[0]]}"
        )
    return f"{told}; name a folder with its config.json files by --config"


def _shared(shapes: Mapping[str, tuple[int, ...] | None], transformer: str) -> float:
    """How much of a published transformer, and of this one, is the same in both."""
    wanted = _published(transformer)
    same = sum(name in wanted and shape in (None, wanted[name]) for name, shape in shapes.items())
    return same / len(shapes.keys() | wanted.keys())


def _strange_part(name: str) -> str | None:
    """The part that a tensor belongs to, where no published transformer has one of its name."""
    if _pattern(name) in _known_patterns():
        return None
    top = name.split(".")[0]
    if top not in {known.split(".")[0] for known in _known_patterns()}:
        return top
    return re.sub(r"\.(weight|bias)$", "", _pattern(name))


def _pattern(name: str) -> str:
    return re.sub(r"\.\d+\.", ".*.", name)


@cache
def _known_patterns() -> frozenset[str]:
    return frozenset(
        _pattern(name) for variant in VARIANTS.values() for name in _published(variant.transformer)
    )


@cache
def _published(transformer: str) -> Shapes:
    return tensors_of_config(transformer_config(transformer))


def _vae(header: WeightsHeader, names: Mapping[str, str]) -> str | None:
    """The autoencoder whose first convolution and latents have these shapes; None for other families'."""
    by_name = {diffusers_name(name): header.tensors[full].shape for name, full in names.items()}
    first, latents = by_name.get("encoder.conv_in.weight"), by_name.get("post_quant_conv.weight")
    for name in VAES:
        config = json.loads((CONFIGS / "vae" / name / "config.json").read_bytes())
        if first == (config["base_dim"], config["in_channels"], 3, 3, 3) and latents == (
            *(config["z_dim"],) * 2,
            1,
            1,
            1,
        ):
            return name
    if (
        first is not None
        and len(first) == 5
        and first[2:] == (3, 3, 3)
        and any(".residual." in n for n in names)
    ):
        raise ModelMismatch(f"{header.path} is an autoencoder of Wan's kind, but neither Wan 2.1's nor 2.2's")
    return None


def _text_encoder(header: WeightsHeader, names: Mapping[str, str]) -> FilePart:
    config = json.loads((CONFIGS / "text_encoder" / TEXT_ENCODER / "config.json").read_bytes())
    words = ("shared.weight", "token_embedding.weight", "token_embd.weight")
    full = next(names[name] for name in words if name in names)
    wanted = (config["vocab_size"], config["d_model"])
    if header.tensors[full].shape != wanted:
        raise ModelMismatch(
            f"{header.path} is a text encoder with words of {header.tensors[full].shape}; Wan reads "
            f"UMT5-XXL, whose are {wanted}"
        )
    return FilePart(part="text_encoder", variant=TEXT_ENCODER, title="UMT5-XXL text encoder")
