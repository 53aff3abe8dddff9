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
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from moc_engine.errors import ModelMismatch
from moc_engine.models.wan.tensor_names import diffusers_name, without_prefix
from moc_engine.sources.model_files import FilePart
from moc_engine.sources.weights_header import SCALES, WeightsHeader

CONFIGS: Final = Path(__file__).parent / "configs"
"""The published configurations of the parts: a folder for each, as diffusers and transformers read it."""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A published model: folders of configurations, and what its model_index.json says besides.

    `shift` is the flow shift that its makers sample with. `index` are values of its pipeline.
    `transformer_class` is diffusers' class of its transformers.
    """

    name: str
    title: str
    transformer: str
    vae: str
    shift: float
    pipeline: str = "WanPipeline"
    experts: int = 1
    index: Mapping[str, Any] = field(default_factory=dict)

    @property
    def transformer_class(self) -> str:
        return "WanVACETransformer3DModel" if self.pipeline == "WanVACEPipeline" else "WanTransformer3DModel"


VARIANTS: Final[Mapping[str, Variant]] = {
    variant.name: variant
    for variant in (
        Variant(
            name="wan2.1-t2v-1.3b",
            title="Wan 2.1 T2V 1.3B",
            transformer="t2v-1.3b",
            vae="wan2.1",
            shift=3.0,
        ),
        Variant(
            name="wan2.1-t2v-14b", title="Wan 2.1 T2V 14B", transformer="t2v-14b", vae="wan2.1", shift=5.0
        ),
        Variant(
            name="wan2.1-i2v-14b",
            title="Wan 2.1 I2V 14B",
            transformer="i2v-14b",
            vae="wan2.1",
            shift=3.0,
            pipeline="WanImageToVideoPipeline",
        ),
        Variant(
            name="wan2.1-flf2v-14b",
            title="Wan 2.1 FLF2V 14B",
            transformer="flf2v-14b",
            vae="wan2.1",
            shift=16.0,
            pipeline="WanImageToVideoPipeline",
        ),
        Variant(
            name="wan2.1-vace-1.3b",
            title="Wan 2.1 VACE 1.3B",
            transformer="vace-1.3b",
            vae="wan2.1",
            shift=16.0,
            pipeline="WanVACEPipeline",
        ),
        Variant(
            name="wan2.1-vace-14b",
            title="Wan 2.1 VACE 14B",
            transformer="vace-14b",
            vae="wan2.1",
            shift=16.0,
            pipeline="WanVACEPipeline",
        ),
        Variant(
            name="wan2.2-vace-fun-a14b",
            title="Wan 2.2 VACE-Fun A14B",
            transformer="vace-14b",
            vae="wan2.1",
            shift=12.0,
            pipeline="WanVACEPipeline",
            experts=2,
            index={"boundary_ratio": 0.875},
        ),
        Variant(
            name="wan2.2-ti2v-5b",
            title="Wan 2.2 TI2V 5B",
            transformer="ti2v-5b",
            vae="wan2.2",
            shift=5.0,
            index={"expand_timesteps": True},
        ),
        Variant(
            name="wan2.2-t2v-a14b",
            title="Wan 2.2 T2V A14B",
            transformer="t2v-14b",
            vae="wan2.1",
            shift=12.0,
            experts=2,
            index={"boundary_ratio": 0.875},
        ),
        Variant(
            name="wan2.2-i2v-a14b",
            title="Wan 2.2 I2V A14B",
            transformer="i2v-a14b",
            vae="wan2.1",
            shift=5.0,
            pipeline="WanImageToVideoPipeline",
            experts=2,
            index={"boundary_ratio": 0.9},
        ),
    )
}

VAES: Final = {"wan2.1": "Wan 2.1 VAE", "wan2.2": "Wan 2.2 VAE"}
TEXT_ENCODER: Final = "umt5-xxl"

_TWO_EXPERTS: Final = {
    "wan2.1-t2v-14b": "wan2.2-t2v-a14b",
    "wan2.1-vace-14b": "wan2.2-vace-fun-a14b",
}
"""Variants of one expert and of two whose transformers have the same shapes."""

_NOISE: Final = re.compile(r"(?<![A-Za-z])(?:(high|low)_noise|(HIGH|LOW))(?![A-Za-z])")


def expert_of(file: Path) -> str | None:
    """ "high" or "low" where the name of a file says that it is the expert for such noise."""
    found = {word.lower() for words in _NOISE.findall(_apart(file.name)) for word in words if word}
    return found.pop() if len(found) == 1 else None


def other_expert(file: Path) -> Path | None:
    """The file of the other expert in the same folder, which has the same name but for the noise."""
    mine = expert_of(file)
    if mine is None:
        return None
    wanted = _NOISE.sub("", _apart(file.name)).lower()
    for other in sorted(file.parent.iterdir()):
        if expert_of(other) not in (mine, None) and _NOISE.sub("", _apart(other.name)).lower() == wanted:
            return other
    return None


def _apart(name: str) -> str:
    """ "HighNoise", "High-Noise" and "HIGH_NOISE" as "high_noise"."""
    return re.sub(r"(?i)(high|low)[ _-]?noise", lambda found: f"{found[1].lower()}_noise", name)


def identify(header: WeightsHeader) -> FilePart | None:
    """What a file is; None where it is no part of a Wan model.

    Raises `ModelMismatch` for a Wan transformer, autoencoder or text encoder unlike every published one.
    """
    names = {without_prefix(name): name for name in header.tensors}
    if any(re.search(r"\.lora_(A|B|down|up)\b", name) for name in names):
        return None
    if _is_transformer(names):
        variant = VARIANTS[_transformer_variant(header, names)]
        return FilePart(part="transformer", variant=variant.name, title=variant.title)
    if "vace_patch_embedding.weight" in names:
        raise ModelMismatch(
            f"{header.path} holds VACE's layers alone, without the transformer that they belong to; take a "
            "file of the whole model, such as wan2.1_vace_14B"
        )
    if {"decoder.conv1.weight", "conv2.weight"} <= names.keys() or {
        "decoder.conv_in.weight",
        "post_quant_conv.weight",
    } <= names.keys():
        name = _vae(header, names)
        return None if name is None else FilePart(part="vae", variant=name, title=VAES[name])
    if any(words <= names.keys() for words in _TEXT_ENCODERS):
        return _text_encoder(header, names)
    return None


_TEXT_ENCODERS: Final = (
    {"shared.weight"},
    {"token_embedding.weight", "blocks.0.pos_embedding.embedding.weight"},
    {"token_embd.weight", "enc.blk.0.attn_rel_b.weight"},
)
"""Tensors by which text encoders of T5's kind are known: as transformers, the original release and GGUF files
name them."""


def _is_transformer(names: Mapping[str, str]) -> bool:
    original = "head.modulation" in names and "patch_embedding.weight" in names
    return original or "condition_embedder.time_proj.weight" in names


_PARTS: Final = frozenset(
    {
        "patch_embedding",
        "vace_patch_embedding",
        "condition_embedder",
        "blocks",
        "vace_blocks",
        "proj_out",
        "scale_shift_table",
    }
)
"""What the transformers that the engine drives consist of, in the names of diffusers."""


def _transformer_variant(header: WeightsHeader, names: Mapping[str, str]) -> str:
    tensors = {
        diffusers_name(name): header.tensors[full].shape
        for name, full in names.items()
        if name.rsplit(".", 1)[-1] not in SCALES
    }
    others = sorted({name.split(".")[0] for name in tensors} - _PARTS)
    if others:
        raise ModelMismatch(
            f"{header.path} is a Wan model with parts that the engine does not drive: {', '.join(others)}"
        )
    found = [
        variant.name
        for variant in VARIANTS.values()
        if variant.name not in _TWO_EXPERTS.values()
        and _has_shapes_of(tensors, transformer_config(variant.transformer))
    ]
    if not found:
        width, channels = tensors["patch_embedding.weight"][:2]
        layers = _blocks(tensors, "blocks")
        raise ModelMismatch(
            f"{header.path} is a Wan transformer like none that was published ({layers} layers of "
            f"width {width}, {channels} channels in); name a folder with its config.json files by --config"
        )
    (name,) = found
    return _TWO_EXPERTS.get(name, name) if expert_of(header.path) else name


@cache
def transformer_config(transformer: str) -> Mapping[str, Any]:
    """The published config.json of a transformer, by the name of its folder."""
    content: dict[str, Any] = json.loads((CONFIGS / "transformer" / transformer / "config.json").read_bytes())
    return content


def _has_shapes_of(tensors: Mapping[str, tuple[int, ...]], config: Mapping[str, Any]) -> bool:
    width = config["num_attention_heads"] * config["attention_head_dim"]
    image = "condition_embedder.image_embedder."
    return (
        tensors.get("patch_embedding.weight") == (width, config["in_channels"], *config["patch_size"])
        and _blocks(tensors, "blocks") == config["num_layers"]
        and _blocks(tensors, "vace_blocks") == len(config.get("vace_layers", ()))
        and tensors.get("vace_patch_embedding.weight", (width, None))[1] == config.get("vace_in_channels")
        and tensors.get("blocks.0.ffn.net.0.proj.weight") == (config["ffn_dim"], width)
        and tensors.get("proj_out.weight", (0,))[0] == config["out_channels"] * 4
        and tensors.get("condition_embedder.text_embedder.linear_1.weight") == (width, config["text_dim"])
        and (f"{image}norm1.weight" in tensors) == (config["image_dim"] is not None)
        and (f"{image}pos_embed" in tensors) == (config["pos_embed_seq_len"] is not None)
    )


def _blocks(tensors: Mapping[str, object], kind: str) -> int:
    """The number of blocks, or of VACE's layers."""
    return len({name.split(".")[1] for name in tensors if name.startswith(f"{kind}.")})


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
