"""Wan models put together from single files: in ComfyUI's folders, by an entry, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import CLIPVisionModel, CLIPVisionModelWithProjection

from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.models.finding import assemble, find_model, identify_file
from moc_engine.models.loading import load_backbone
from moc_engine.models.part_loading import load_part
from moc_engine.models.wan.identification import identify
from moc_engine.models.wan.single_files import title_of
from moc_engine.sources.model_files import ModelFiles, write_entry
from moc_engine.sources.parts import PipelineParts
from moc_engine.sources.weights_header import TensorInfo, WeightsHeader
from tests.fakes.models import save_tiny_video
from tests.fakes.wan_folders import wan_i2v_folder, wan_vace_folder
from tests.fakes.weights_files import (
    clip_shapes,
    original_names,
    published_transformer,
    published_vae,
    save_weights,
    umt5_shapes,
    write_sparse,
)

TI2V = "diffusion_models/wan2.2_ti2v_5B_fp16.safetensors"
VACE = "diffusion_models/wan2.1_vace_1.3B_fp16.safetensors"
HIGH, LOW = (f"unet/wan2.2_t2v_{noise}_noise_14B_fp16.safetensors" for noise in ("high", "low"))


@pytest.fixture(scope="module")
def comfyui(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ComfyUI's folder `models` with files of real shapes, which are holes."""
    models = tmp_path_factory.mktemp("ComfyUI") / "models"
    write_sparse(models / TI2V, published_transformer("ti2v-5b"))
    write_sparse(models / HIGH, published_transformer("t2v-14b"))
    write_sparse(models / LOW, published_transformer("t2v-14b"))
    write_sparse(models / VACE, published_transformer("vace-1.3b"))
    for noise in ("high", "low"):
        file = models / "unet" / f"wan2.2_fun_vace_{noise}_noise_14B_bf16.safetensors"
        write_sparse(file, published_transformer("vace-14b"))
    write_sparse(models / "unet" / "wan2.1_i2v_14B.safetensors", published_transformer("i2v-14b"))
    write_sparse(models / "vae" / "wan_2.1_vae.safetensors", published_vae("wan2.1"))
    write_sparse(models / "vae" / "wan2.2_vae.safetensors", published_vae("wan2.2"))
    (models / "vae" / "broken.safetensors").write_bytes(b"broken")
    for name in ("umt5_xxl_fp8_e4m3fn_scaled", "umt5_xxl_fp16"):
        write_sparse(models / "text_encoders" / f"{name}.safetensors", umt5_shapes())
    return models


def places(model: PipelineParts) -> dict[str, str]:
    return {name: part.path.name for name, part in model.parts.items()}


def test_a_file_of_comfyui_is_a_model_with_the_parts_beside_it(comfyui: Path) -> None:
    model = find_model(comfyui / TI2V)
    assert places(model) == {
        "transformer": "wan2.2_ti2v_5B_fp16.safetensors",
        "vae": "wan2.2_vae.safetensors",
        "text_encoder": "umt5_xxl_fp16.safetensors",
        "tokenizer": "umt5_xxl_fp16.safetensors",
        "scheduler": "unipc-shift-5",
    }
    assert model.pipeline_class == "WanPipeline"
    assert model.index["expand_timesteps"] is True
    assert model.class_of("transformer_2") is None
    assert model.name == "wan2.2_ti2v_5B_fp16"
    config = model.part("vae").config_folder / "config.json"
    assert len(json.loads(config.read_text())["latents_mean"]) == 48


@pytest.mark.parametrize("name", [HIGH, LOW])
def test_two_experts_are_paired_whichever_is_named(comfyui: Path, name: str) -> None:
    model = find_model(comfyui / name)
    assert model.part("transformer").path == comfyui / HIGH
    assert model.part("transformer_2").path == comfyui / LOW
    assert model.index["boundary_ratio"] == 0.875
    assert model.part("vae").path.name == "wan_2.1_vae.safetensors"


def test_a_control_model_is_one_of_its_own_class(comfyui: Path) -> None:
    model = find_model(comfyui / VACE)
    assert model.pipeline_class == "WanVACEPipeline"
    assert model.class_of("transformer") == "WanVACETransformer3DModel"
    assert places(model)["scheduler"] == "unipc-shift-16"
    assert title_of(model) == "Wan 2.1 VACE 1.3B"
    experts = find_model(comfyui / "unet" / "wan2.2_fun_vace_low_noise_14B_bf16.safetensors")
    assert experts.class_of("transformer_2") == "WanVACETransformer3DModel"
    assert experts.part("transformer").path.name == "wan2.2_fun_vace_high_noise_14B_bf16.safetensors"
    assert experts.index["boundary_ratio"] == 0.875
    assert title_of(experts) == "Wan 2.2 VACE-Fun A14B"


def test_a_transformer_alone_is_told_what_it_needs(comfyui: Path, tmp_path: Path) -> None:
    file = write_sparse(tmp_path / "wan2.2_ti2v_5B.safetensors", published_transformer("ti2v-5b"))
    with pytest.raises(ModelNotFound, match=r"needs the Wan 2\.2 VAE, which is not in .*; .* --vae"):
        find_model(file)
    vae = comfyui / "vae" / "wan2.2_vae.safetensors"
    with pytest.raises(ModelNotFound, match=r"needs the text encoder UMT5-XXL.*--text-encoder"):
        assemble(ModelFiles(transformer=file, vae=vae), source="fox", name="fox")
    encoder = {name: shape for name, shape in umt5_shapes().items() if name != "spiece_model"}
    alone = write_sparse(tmp_path / "umt5-xxl-enc-bf16.safetensors", encoder)
    with pytest.raises(ModelNotFound, match=r"the tokenizer of .* is missing.*--tokenizer"):
        find_model_with(file, vae, alone)
    (tmp_path / "tokenizer").mkdir()
    (tmp_path / "tokenizer" / "tokenizer.json").write_text("{}")
    assert find_model_with(file, vae, alone).part("tokenizer").path == tmp_path / "tokenizer"


def find_model_with(transformer: Path, vae: Path, text_encoder: Path) -> PipelineParts:
    files = ModelFiles(transformer=transformer, vae=vae, text_encoder=text_encoder)
    return assemble(files, source="fox", name="fox")


def test_files_that_do_not_go_together_are_refused(comfyui: Path, tmp_path: Path) -> None:
    vae = comfyui / "vae" / "wan_2.1_vae.safetensors"
    with pytest.raises(ModelMismatch, match=r"is the Wan 2\.1 VAE, but .* needs the Wan 2\.2 VAE"):
        assemble(ModelFiles(transformer=comfyui / TI2V, vae=vae), source="fox", name="fox")
    with pytest.raises(ModelMismatch, match=r"is no transformer, but the Wan 2\.1 VAE"):
        find_model(vae)
    with pytest.raises(ModelMismatch, match=r"is no vae, but the Wan 2\.2 TI2V 5B"):
        assemble(ModelFiles(transformer=comfyui / TI2V, vae=comfyui / TI2V), source="fox", name="fox")
    with pytest.raises(ModelMismatch, match="are both experts for high noise"):
        twice = ModelFiles(transformer=comfyui / HIGH, transformer_2=comfyui / HIGH)
        assemble(twice, source="fox", name="fox")
    alone = write_sparse(tmp_path / "wan2.2_t2v_high_noise_14B.safetensors", published_transformer("t2v-14b"))
    vae_and_text = {"vae": vae, "text_encoder": comfyui / "text_encoders" / "umt5_xxl_fp16.safetensors"}
    with pytest.raises(ModelNotFound, match=r"the one for low noise is not beside it.*--transformer-2"):
        assemble(ModelFiles(transformer=alone, **vae_and_text), source="fox", name="fox")


def test_experts_whose_names_do_not_say_so_are_not_guessed(comfyui: Path, tmp_path: Path) -> None:
    one, two = (
        write_sparse(tmp_path / f"wan2.2_t2v_14B_{nth}.safetensors", published_transformer("t2v-14b"))
        for nth in "ab"
    )
    rest = {
        "vae": comfyui / "vae" / "wan_2.1_vae.safetensors",
        "text_encoder": comfyui / "text_encoders" / "umt5_xxl_fp16.safetensors",
    }
    with pytest.raises(ModelMismatch, match=r"of Wan 2\.1 T2V 14B and of an expert of Wan 2\.2 T2V A14B"):
        assemble(ModelFiles(transformer=one, **rest), source="fox", name="fox")
    both = assemble(ModelFiles(transformer=one, transformer_2=two, **rest), source="fox", name="fox")
    assert (both.part("transformer").path, both.part("transformer_2").path) == (one, two)
    assert both.index["boundary_ratio"] == 0.875
    other = write_sparse(tmp_path / "small.safetensors", published_transformer("t2v-1.3b"))
    with pytest.raises(ModelMismatch, match="are experts of different models"):
        assemble(ModelFiles(transformer=one, transformer_2=other, **rest), source="fox", name="fox")
    with pytest.raises(ModelMismatch, match=r"Wan 2\.1 T2V 1\.3B has one transformer"):
        assemble(ModelFiles(transformer=other, transformer_2=one, **rest), source="fox", name="fox")


def test_an_image_encoder_is_found_beside_or_asked_for(comfyui: Path, tmp_path: Path) -> None:
    file = comfyui / "unet" / "wan2.1_i2v_14B.safetensors"
    with pytest.raises(ModelNotFound, match=r"put clip_vision_h\.safetensors into .*--image-encoder"):
        find_model(file)
    write_sparse(comfyui / "clip_vision" / "CLIP-ViT-H-14-laion2B.safetensors", clip_shapes())
    with pytest.raises(ModelNotFound, match=r"put clip_vision_h\.safetensors into .*clip_vision"):
        find_model(file)  # of the same shapes, and of other weights
    found = write_sparse(comfyui / "clip_vision" / "clip_vision_h.safetensors", clip_shapes())
    model = find_model(file)
    assert model.pipeline_class == "WanImageToVideoPipeline"
    assert model.part("image_encoder").path == found
    assert model.class_of("image_encoder") == "CLIPVisionModelWithProjection"
    assert (model.part("image_processor").config_folder / "preprocessor_config.json").is_file()
    plain = {name: shape for name, shape in clip_shapes().items() if name != "visual_projection.weight"}
    named = ModelFiles(transformer=file, image_encoder=write_sparse(tmp_path / "x.safetensors", plain))
    other = assemble(named, source="fox", name="fox")
    assert other.class_of("image_encoder") == "CLIPVisionModel"
    part = other.part("image_encoder")
    assert part.names("vision_model.post_layernorm.weight") == "post_layernorm.weight"
    wrong = ModelFiles(transformer=file, image_encoder=comfyui / "vae" / "wan_2.1_vae.safetensors")
    with pytest.raises(ModelMismatch, match="is no image encoder of a Wan model"):
        assemble(wrong, source="fox", name="fox")
    with pytest.raises(ModelMismatch, match="is no transformer, but a CLIP ViT-H"):
        find_model(found)


@pytest.mark.parametrize("kind", ["CLIPVisionModel", "CLIPVisionModelWithProjection"])
def test_the_folder_of_an_image_encoder_says_what_it_is(comfyui: Path, tmp_path: Path, kind: str) -> None:
    file = comfyui / "unet" / "wan2.1_i2v_14B.safetensors"
    named = ModelFiles(transformer=file, image_encoder=tmp_path)
    with pytest.raises(ModelNotFound, match=r"preprocessor_config\.json is missing"):
        assemble(named, source="fox", name="fox")
    (tmp_path / "preprocessor_config.json").write_text("{}")
    (tmp_path / "config.json").write_text(json.dumps({"architectures": [kind]}))
    model = assemble(named, source="fox", name="fox")
    assert model.part("image_encoder").path == tmp_path
    assert model.class_of("image_encoder") == kind


@pytest.mark.parametrize("projection", [True, False])
def test_an_image_encoder_in_a_file_equals_that_of_the_folder(tmp_path: Path, projection: bool) -> None:
    folder = tmp_path / "i2v"
    wan_i2v_folder(folder, projection=projection)
    weights = load_file(folder / "image_encoder" / "model.safetensors")
    named = {name if name.startswith("vis") else f"vision_model.{name}": w for name, w in weights.items()}
    named["vision_model.embeddings.position_ids"] = torch.arange(17)[None]
    clip = save_weights(tmp_path / "clip_vision_h.safetensors", named)
    transformer = save_weights(tmp_path / "wan.safetensors", original_names(folder, "transformer"))
    files = ModelFiles(transformer=transformer, image_encoder=clip, config=folder)
    model = assemble(files, source="fox", name="fox")
    kind = CLIPVisionModelWithProjection if projection else CLIPVisionModel
    one, other = (load_part(kind, parts, "image_encoder") for parts in (model, find_model(folder)))
    assert one.state_dict().keys() == other.state_dict().keys()
    assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())


def test_a_text_encoder_in_gguf_is_told_by_its_words(tmp_path: Path) -> None:
    tensors = {"token_embd.weight": TensorInfo(dtype="Q8_0", shape=(256384, 4096))}
    tensors["enc.blk.0.attn_rel_b.weight"] = TensorInfo(dtype="F32", shape=(32, 64))
    header = WeightsHeader(path=tmp_path / "umt5-xxl-encoder-Q8_0.gguf", tensors=tensors, metadata={})
    found = identify(header)
    assert found is not None
    assert (found.part, found.variant) == ("text_encoder", "umt5-xxl")


def test_a_file_of_no_model_is_told(tmp_path: Path) -> None:
    file = write_sparse(tmp_path / "flux.safetensors", {"double_blocks.0.img_attn.qkv.weight": (3, 3)})
    assert identify_file(file) is None
    with pytest.raises(ModelMismatch, match="is no transformer of a model that the engine knows"):
        find_model(file)
    (tmp_path / "model.ckpt").write_bytes(b"PK")
    with pytest.raises(ModelNotFound, match="is never read"):
        find_model(tmp_path / "model.ckpt")


@pytest.mark.parametrize("make", [save_tiny_video, wan_vace_folder])
def test_an_entry_of_single_files_renders_as_the_folder_they_came_from(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    folder = tmp_path / "video"
    make(folder)
    files = {
        part: save_weights(tmp_path / f"{part}.safetensors", original_names(folder, part))
        for part in ("transformer", "text_encoder")
    }
    entry = tmp_path / "models" / "fox.json"
    write_entry(entry, ModelFiles(**files, vae=folder / "vae", config=folder))
    one, other = load_backbone(folder, "cpu"), load_backbone(entry, "cpu")
    assert other.name == "fox"
    assert type(one.adapter) is type(other.adapter)
    for name, tensor in one.transformer.state_dict().items():
        assert torch.equal(tensor, other.transformer.state_dict()[name])
    captions = [model.family.captions("a fox", "runs at dawn", ()).states_BSE for model in (one, other)]
    assert torch.equal(*captions)


def test_an_entry_that_is_damaged_or_of_another_kind_is_told(tmp_path: Path) -> None:
    for text in ("{", "[]", "{}", '{"format": "moc-studio model", "version": 2}'):
        (tmp_path / "fox.json").write_text(text)
        with pytest.raises(ModelMismatch, match=r"fox\.json does not describe a model"):
            find_model(tmp_path / "fox.json")
