"""Files are told by their shapes: those of every published model, under the names of the original release."""

from __future__ import annotations

from pathlib import Path

import pytest
from diffusers import AutoencoderKLWan, WanTransformer3DModel, WanVACETransformer3DModel

from moc_engine.errors import ModelMismatch
from moc_engine.models.wan.tensor_names import transformer_name, vae_name
from moc_engine.models.wan.variants import CONFIGS, VARIANTS, expert_of, identify, other_expert
from moc_engine.sources.model_files import FilePart
from moc_engine.sources.weights_header import read_header
from tests.fakes.weights_files import (
    empty_shapes,
    published_transformer,
    published_vae,
    umt5_shapes,
    write_sparse,
)


def identified(file: Path) -> FilePart | None:
    return identify(read_header(file))


@pytest.mark.parametrize("name", sorted(path.name for path in (CONFIGS / "transformer").iterdir()))
def test_original_names_are_all_of_a_transformer(name: str) -> None:
    kind = WanVACETransformer3DModel if name.startswith("vace") else WanTransformer3DModel
    own = empty_shapes(kind, CONFIGS / "transformer" / name)
    original = published_transformer(name)
    assert {transformer_name(tensor) for tensor in original} == own.keys()
    assert len(original) == len(own)
    assert all(transformer_name(tensor) == tensor for tensor in own)


@pytest.mark.parametrize("version", ["wan2.1", "wan2.2"])
def test_original_names_are_all_of_an_autoencoder(version: str) -> None:
    own = empty_shapes(AutoencoderKLWan, CONFIGS / "vae" / version)
    original = published_vae(version)
    assert {vae_name(tensor) for tensor in original} == own.keys()
    assert len(original) == len(own) == (194 if version == "wan2.1" else 196)
    assert all(vae_name(tensor) == tensor for tensor in own)


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
    with pytest.raises(ModelMismatch, match=r"29 layers of width 3072, 48 channels in.*--config"):
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
