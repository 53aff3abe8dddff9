from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import HunyuanVideoTransformer3DModel
from diffusers.loaders.single_file_utils import convert_hunyuan_video_transformer_to_diffusers
from safetensors.torch import load_file, save_file
from torch import Tensor

from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.models.finding import assemble, find_model, identify_file
from moc_engine.models.hunyuan.original_names import arranged
from moc_engine.models.loading import load_backbone
from moc_engine.sources.model_files import ModelFiles, write_entry
from tests.fakes.hunyuan_folder import hunyuan_folder
from tests.fakes.weights_files import write_sparse

ORIGINAL = {
    "x_embedder.proj": "img_in.proj",
    "time_text_embed.timestep_embedder.linear_1": "time_in.mlp.0",
    "time_text_embed.timestep_embedder.linear_2": "time_in.mlp.2",
    "time_text_embed.guidance_embedder.linear_1": "guidance_in.mlp.0",
    "time_text_embed.guidance_embedder.linear_2": "guidance_in.mlp.2",
    "time_text_embed.text_embedder.linear_1": "vector_in.in_layer",
    "time_text_embed.text_embedder.linear_2": "vector_in.out_layer",
    "context_embedder.proj_in": "txt_in.input_embedder",
    "context_embedder.time_text_embed.timestep_embedder.linear_1": "txt_in.t_embedder.mlp.0",
    "context_embedder.time_text_embed.timestep_embedder.linear_2": "txt_in.t_embedder.mlp.2",
    "context_embedder.time_text_embed.text_embedder.linear_1": "txt_in.c_embedder.linear_1",
    "context_embedder.time_text_embed.text_embedder.linear_2": "txt_in.c_embedder.linear_2",
    "proj_out": "final_layer.linear",
}
REFINER = {
    "norm1": "norm1",
    "norm2": "norm2",
    "attn.to_out.0": "self_attn_proj",
    "ff.net.0.proj": "mlp.fc1",
    "ff.net.2": "mlp.fc2",
    "norm_out.linear": "adaLN_modulation.1",
}
DOUBLE = {
    "norm1.linear": "img_mod.linear",
    "norm1_context.linear": "txt_mod.linear",
    "attn.to_out.0": "img_attn_proj",
    "attn.to_add_out": "txt_attn_proj",
    "attn.norm_q": "img_attn_q_norm",
    "attn.norm_k": "img_attn_k_norm",
    "attn.norm_added_q": "txt_attn_q_norm",
    "attn.norm_added_k": "txt_attn_k_norm",
    "ff.net.0.proj": "img_mlp.fc1",
    "ff.net.2": "img_mlp.fc2",
    "ff_context.net.0.proj": "txt_mlp.fc1",
    "ff_context.net.2": "txt_mlp.fc2",
}
SINGLE = {
    "proj_out": "linear2",
    "norm.linear": "modulation.linear",
    "attn.norm_q": "q_norm",
    "attn.norm_k": "k_norm",
}


def original(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a transformer as the original release has them."""
    weights = dict(weights)
    found: dict[str, Tensor] = {}
    refiner, double, single = (
        "context_embedder.token_refiner.refiner_blocks.",
        "transformer_blocks.",
        "single_transformer_blocks.",
    )
    groups = (
        (
            refiner,
            "txt_in.individual_token_refiner.blocks.",
            "self_attn_qkv",
            ("to_q", "to_k", "to_v"),
            REFINER,
        ),
        (double, "double_blocks.", "img_attn_qkv", ("to_q", "to_k", "to_v"), DOUBLE),
        (double, "double_blocks.", "txt_attn_qkv", ("add_q_proj", "add_k_proj", "add_v_proj"), DOUBLE),
        (single, "single_blocks.", "linear1", ("to_q", "to_k", "to_v"), SINGLE),
    )
    for prefix, blocks, fused, parts, layers in groups:
        numbers = {name.removeprefix(prefix).split(".")[0] for name in weights if name.startswith(prefix)}
        for number in numbers:
            for kind in ("weight", "bias"):
                rows = [weights.pop(f"{prefix}{number}.attn.{part}.{kind}") for part in parts]
                if fused == "linear1":
                    rows.append(weights.pop(f"{prefix}{number}.proj_mlp.{kind}"))
                found[f"{blocks}{number}.{fused}.{kind}"] = torch.cat(rows)
                for own, name in layers.items():
                    if f"{prefix}{number}.{own}.{kind}" in weights:
                        found[f"{blocks}{number}.{name}.{kind}"] = weights.pop(
                            f"{prefix}{number}.{own}.{kind}"
                        )
    for kind in ("weight", "bias"):
        scale, shift = weights.pop(f"norm_out.linear.{kind}").chunk(2)
        found[f"final_layer.adaLN_modulation.1.{kind}"] = torch.cat((shift, scale))
        found.update({f"{name}.{kind}": weights.pop(f"{own}.{kind}") for own, name in ORIGINAL.items()})
    assert not weights
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "hunyuan"
    hunyuan_folder(made)
    return made


def weights_of(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")


@pytest.mark.parametrize("prefix", ["", "model.model.", "model.diffusion_model."])
def test_a_file_of_the_original_names_is_the_same_transformer(
    prefix: str, folder: Path, tmp_path: Path
) -> None:
    file = tmp_path / "hunyuan_video_720_cfgdistill.safetensors"
    state = original(weights_of(folder))
    save_file({prefix + name: tensor.contiguous() for name, tensor in state.items()}, file)
    entry = tmp_path / "own.json"
    write_entry(entry, ModelFiles(transformer=file, config=folder))

    loaded = load_backbone(entry, "cpu").transformer.state_dict()

    assert all(torch.equal(tensor, loaded[name]) for name, tensor in weights_of(folder).items())


def test_weights_in_8_bits_are_expanded(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "hunyuan_video_fp8_e4m3fn.safetensors"
    state = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in original(weights_of(folder)).items()}
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, file)
    entry = tmp_path / "own.json"
    write_entry(entry, ModelFiles(transformer=file, config=folder))

    loaded = load_backbone(entry, "cpu").transformer.state_dict()

    for name, tensor in weights_of(folder).items():
        assert torch.equal(loaded[name], tensor.to(torch.float8_e4m3fn).float()), name


def test_tensors_are_split_as_diffusers_does_at_the_published_width() -> None:
    given = {
        "single_blocks.0.linear1.bias": torch.arange(21504.0),
        "double_blocks.0.txt_attn_qkv.bias": torch.arange(9216.0),
        "final_layer.adaLN_modulation.1.bias": torch.arange(6144.0),
        "txt_in.individual_token_refiner.blocks.1.self_attn_qkv.bias": torch.arange(9216.0),
    }
    ours = {own: rows for name, x in given.items() for own, rows in arranged(name, x, 3072).items()}
    theirs: dict[str, Any] = convert_hunyuan_video_transformer_to_diffusers(dict(given))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(rows, theirs[name]) for name, rows in ours.items())


def published() -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        model = HunyuanVideoTransformer3DModel()
    return {name: tuple(tensor.shape) for name, tensor in original(model.state_dict()).items()}


def test_the_published_transformer_is_told_by_its_shapes(tmp_path: Path) -> None:
    shapes = published()
    file = write_sparse(tmp_path / "hunyuan_video_t2v_720p_bf16.safetensors", shapes, "BF16")
    found = identify_file(file)
    assert found is not None
    assert (found.part, found.title) == ("transformer", "HunyuanVideo")
    with pytest.raises(ModelNotFound, match="is the transformer of HunyuanVideo alone; name a folder"):
        find_model(file)
    other = {**shapes, "img_in.proj.weight": (3072, 33, 1, 2, 2)}
    file = write_sparse(tmp_path / "other.safetensors", other, "BF16")
    with pytest.raises(
        ModelMismatch, match=r"unlike the published one .*: its img_in.proj.weight has the shape"
    ):
        identify_file(file)
    file = write_sparse(tmp_path / "hunyuan_video_image_to_video_720p_bf16.safetensors", shapes, "BF16")
    with pytest.raises(ModelMismatch, match="starts each shot from a picture"):
        identify_file(file)


def test_other_parts_lie_in_the_folder(folder: Path, tmp_path: Path) -> None:
    given = ModelFiles(
        transformer=tmp_path / "a.safetensors", vae=tmp_path / "vae.safetensors", config=folder
    )
    with pytest.raises(ModelMismatch, match="its vae must lie in the folder"):
        assemble(given, source="a", name="a")
