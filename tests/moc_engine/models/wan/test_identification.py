"""Files are told by their tensors: those of every published model, and none besides."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from diffusers import WanTransformer3DModel

from moc_engine.errors import ModelMismatch
from moc_engine.models.wan.identification import identify
from moc_engine.models.wan.variants import CONFIGS, VARIANTS
from moc_engine.sources.model_files import FilePart
from moc_engine.sources.weights_header import TensorInfo, WeightsHeader, read_header
from tests.fakes.weights_files import (
    Shapes,
    empty_shapes,
    published_transformer,
    published_vae,
    umt5_shapes,
    write_sparse,
)


def identified(file: Path) -> FilePart | None:
    return identify(read_header(file))


def told(shapes: Shapes, name: str = "x", dtypes: Mapping[str, str] | None = None) -> str:
    """The variant of a transformer with these tensors, or why it is none."""
    tensors = {
        tensor: TensorInfo(dtype=(dtypes or {}).get(tensor, "BF16"), shape=shape)
        for tensor, shape in shapes.items()
    }
    try:
        found = identify(WeightsHeader(path=Path(f"{name}.safetensors"), tensors=tensors, metadata={}))
    except ModelMismatch as error:
        return str(error)
    return "none" if found is None else found.variant


FILES = {
    "wan2.1_t2v_1.3B_fp16": ("t2v-1.3b", "wan2.1-t2v-1.3b"),
    "wan2.1_t2v_14B_fp16": ("t2v-14b", "wan2.1-t2v-14b"),
    "wan2.1_i2v_480p_14B_fp16": ("i2v-14b", "wan2.1-i2v-14b"),
    "wan2.1_flf2v_720p_14B_fp16": ("flf2v-14b", "wan2.1-flf2v-14b"),
    "wan2.1_vace_1.3B_fp16": ("vace-1.3b", "wan2.1-vace-1.3b"),
    "wan2.1_vace_14B_fp16": ("vace-14b", "wan2.1-vace-14b"),
    "wan2.2_fun_vace_low_noise_14B_bf16": ("vace-14b", "wan2.2-vace-fun-a14b"),
    "wan2.2_ti2v_5B_fp16": ("ti2v-5b", "wan2.2-ti2v-5b"),
    "wan2.2_t2v_high_noise_14B_fp16": ("t2v-14b", "wan2.2-t2v-a14b"),
    "Wan2.2-T2V-A14B-LowNoise-Q4_K_M": ("t2v-14b", "wan2.2-t2v-a14b"),
    "Wan2_2-T2V-A14B-HIGH_fp8": ("t2v-14b", "wan2.2-t2v-a14b"),
    "wan2.2_i2v_low_noise_14B_fp16": ("i2v-a14b", "wan2.2-i2v-a14b"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_a_transformer_is_told_by_its_shapes(tmp_path: Path, name: str, prefix: str) -> None:
    config, variant = FILES[name]
    file = write_sparse(tmp_path / f"{name}.safetensors", published_transformer(config), prefix=prefix)
    assert identified(file) == FilePart(part="transformer", variant=variant, title=VARIANTS[variant].title)


def test_the_names_of_diffusers_are_read_as_well(tmp_path: Path) -> None:
    shapes = empty_shapes(WanTransformer3DModel, CONFIGS / "transformer" / "ti2v-5b")
    found = identified(write_sparse(tmp_path / "x.safetensors", shapes))
    assert found is not None
    assert found.variant == "wan2.2-ti2v-5b"


@pytest.mark.parametrize("version", ["wan2.1", "wan2.2"])
def test_an_autoencoder_is_told_by_its_shapes(tmp_path: Path, version: str) -> None:
    found = identified(write_sparse(tmp_path / "vae.safetensors", published_vae(version)))
    assert found is not None
    assert (found.part, found.variant) == ("vae", version)


def test_a_text_encoder_is_told_by_its_words(tmp_path: Path) -> None:
    found = identified(write_sparse(tmp_path / "umt5_xxl_fp16.safetensors", umt5_shapes()))
    assert found is not None
    assert found.part == "text_encoder"
    english = {**umt5_shapes(), "shared.weight": (32128, 4096)}
    with pytest.raises(ModelMismatch, match="Wan reads UMT5-XXL"):
        identified(write_sparse(tmp_path / "t5xxl.safetensors", english))


def test_a_transformer_like_no_published_one_is_refused(tmp_path: Path) -> None:
    whole = published_transformer("ti2v-5b")
    shapes = {name: shape for name, shape in whole.items() if not name.startswith("blocks.29.")}
    with pytest.raises(
        ModelMismatch,
        match=r"29 layers of width 3072, 48 channels in.*it lacks 27 tensors.*--config",
    ):
        identified(write_sparse(tmp_path / "pruned.safetensors", shapes))


def test_parts_that_are_not_driven_are_named(tmp_path: Path) -> None:
    shapes = {**published_transformer("t2v-1.3b"), "face_adapter.fuser_blocks.0.q.weight": (1536, 1536)}
    with pytest.raises(ModelMismatch, match="parts that the engine does not drive: face_adapter"):
        identified(write_sparse(tmp_path / "animate.safetensors", shapes))


def test_control_layers_must_be_those_of_a_published_model(tmp_path: Path) -> None:
    whole = published_transformer("vace-14b")
    for name in ("vace_blocks.7.", "vace_patch_embedding."):
        shapes = {tensor: shape for tensor, shape in whole.items() if not tensor.startswith(name)}
        with pytest.raises(ModelMismatch, match="like none that was published"):
            identified(write_sparse(tmp_path / "vace.safetensors", shapes))


def test_control_layers_without_their_model_are_told(tmp_path: Path) -> None:
    whole = published_transformer("vace-14b")
    shapes = {tensor: shape for tensor, shape in whole.items() if tensor.startswith("vace_")}
    with pytest.raises(ModelMismatch, match="holds VACE's layers alone"):
        identified(write_sparse(tmp_path / "Wan2_1-VACE_module_14B_bf16.safetensors", shapes))


def test_loras_and_files_of_others_are_none(tmp_path: Path) -> None:
    lora = {"diffusion_model.blocks.0.self_attn.q.lora_A.weight": (32, 1536)}
    assert identified(write_sparse(tmp_path / "lora.safetensors", lora)) is None
    other = {"double_blocks.0.img_attn.qkv.weight": (3, 3), "decoder.conv_in.weight": (4, 4, 3, 3)}
    assert identified(write_sparse(tmp_path / "other.safetensors", other)) is None


@pytest.mark.parametrize("config", sorted({variant.transformer for variant in VARIANTS.values()}))
def test_a_transformer_with_anything_changed_is_never_taken_for_a_published_one(config: str) -> None:
    whole = published_transformer(config)
    names = sorted(whole.keys() - {"head.modulation", "patch_embedding.weight"})  # without them it is no Wan
    draw = random.Random(config)
    for name in draw.sample(names, 4):
        shape = whole[name]
        side = draw.randrange(len(shape))
        changed = {
            "lacking": {other: size for other, size in whole.items() if other != name},
            "other shape": {**whole, name: (*shape[:side], shape[side] + 8, *shape[side + 1 :])},
            "more": {**whole, name.replace("weight", "gate").replace("bias", "gate") + "d": shape},
        }
        for what, shapes in changed.items():
            said = told(shapes)
            assert said not in VARIANTS, (what, name)
            assert "published" in said or "does not drive" in said, (what, name, said)


def channels(shapes: Shapes, count: int) -> Shapes:
    width, _, *patch = shapes["patch_embedding.weight"]
    return {**shapes, "patch_embedding.weight": (width, count, *patch)}


STRANGERS: Mapping[str, tuple[Callable[[], Shapes], str]] = {
    "Fun Control 1.3B": (
        lambda: channels(published_transformer("t2v-1.3b"), 48),
        r"30 layers of width 1536, 48 channels in\): in Wan 2.1 T2V 1.3B, patch_embedding.weight has",
    ),
    "Fun Control A14B, with reference pictures": (
        lambda: {
            **channels(published_transformer("i2v-a14b"), 52),
            "ref_conv.weight": (5120, 16, 2, 2),
            "ref_conv.bias": (5120,),
        },
        "does not drive: ref_conv (reference pictures of Fun models)",
    ),
    "Fun Camera": (
        lambda: {**published_transformer("t2v-14b"), "control_adapter.conv.weight": (5120, 24, 2, 2)},
        "does not drive: control_adapter (camera control)",
    ),
    "Animate": (
        lambda: {
            **channels(published_transformer("i2v-14b"), 36),
            "face_adapter.fuser_blocks.0.linear1_q.weight": (5120, 5120),
            "pose_patch_embedding.weight": (5120, 16, 1, 2, 2),
        },
        "does not drive: face_adapter (Wan Animate), pose_patch_embedding (Wan Animate)",
    ),
    "FastWan 2.1, trained with sparse attention": (
        lambda: {
            **published_transformer("t2v-1.3b"),
            **{f"blocks.{n}.to_gate_compress.weight": (1536, 1536) for n in range(30)},
        },
        "does not drive: blocks.*.to_gate_compress (video sparse attention)",
    ),
    "5B with the channels of 14B": (
        lambda: channels(published_transformer("ti2v-5b"), 16),
        "30 layers of width 3072, 16 channels in): in Wan 2.2 TI2V 5B",
    ),
    "VACE without its last layer": (
        lambda: {
            name: shape
            for name, shape in published_transformer("vace-1.3b").items()
            if not name.startswith("vace_blocks.14.")
        },
        "of Wan 2.1 VACE 1.3B it lacks 29 tensors",
    ),
}


@pytest.mark.parametrize("stranger", STRANGERS)
def test_models_that_are_not_driven_are_refused_and_say_why(stranger: str) -> None:
    make, words = STRANGERS[stranger]
    assert words.replace("\\", "") in told(make(), stranger)


def test_weights_that_are_packed_are_left_to_the_loader() -> None:
    whole = dict(published_transformer("t2v-1.3b"))
    name = "blocks.0.ffn.0.weight"
    packed = {**whole, name: (8960, 768), "blocks.0.ffn.0.weight_scale_2": ()}
    packed["blocks.0.ffn.0.comfy_quant"] = (20,)
    assert told(packed, dtypes={name: "U8"}) == "wan2.1-t2v-1.3b"
