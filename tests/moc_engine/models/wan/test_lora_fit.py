"""Whether LoRA files fit Wan models, told from headers alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import WanTransformer3DModel, WanVACETransformer3DModel
from torch import Tensor

from moc_engine.errors import EngineError
from moc_engine.lora_check import check_lora, made_for
from moc_engine.models.wan.lora_fit import layers_of
from moc_engine.models.wan.transformer_tensors import layers_of_config
from moc_engine.models.wan.variants import VARIANTS, transformer_config
from moc_engine.sources.parts import PartSource, PipelineParts
from tests.fakes.loras import comfyui_keys, diffusers_keys, factors, kohya_keys, save_lora
from tests.fakes.models import save_tiny_video, tiny_transformer
from tests.fakes.wan_folders import vace_denoiser
from tests.fakes.weights_files import write_sparse

Keys = Callable[[Mapping[str, tuple[Tensor, Tensor]]], dict[str, Tensor]]

LAYOUTS: Mapping[str, Keys] = {
    "diffusers": diffusers_keys,
    "comfyui": comfyui_keys,
    "kohya": lambda parts: kohya_keys(parts, alpha=2.0),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("video")
    save_tiny_video(folder)
    return folder


def problem(model: str | None, lora: str) -> str | None:
    """What is wrong with a LoRA for a model; None where nothing is."""
    try:
        check_lora(model, lora)
    except EngineError as error:
        return str(error)
    return None


@pytest.mark.parametrize("name", sorted({variant.transformer for variant in VARIANTS.values()}))
def test_the_layers_of_published_models_are_those_of_the_class(name: str) -> None:
    with init_empty_weights():
        kind = WanVACETransformer3DModel if name.startswith("vace") else WanTransformer3DModel
        model = kind.from_config(dict(transformer_config(name)))
    real = {
        layer: (module.out_features, module.in_features)
        for layer, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    assert layers_of_config(transformer_config(name)) == real


@pytest.mark.parametrize("make", [tiny_transformer, vace_denoiser])
def test_the_layers_of_a_model_are_read_from_its_headers(make: Callable[[], Any], tmp_path: Path) -> None:
    folder, transformer = tmp_path, make()
    transformer.save_pretrained(folder / "transformer")
    index = {"_class_name": "WanPipeline", "transformer": ["diffusers", "WanTransformer3DModel"]}
    parts = {"transformer": PartSource(path=folder / "transformer")}
    model = PipelineParts(source="x", name="x", index=index, parts=parts, folder=folder)
    assert layers_of(model) == layers_of_config(dict(transformer.config))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_that_fits_is_accepted_in_every_layout(folder: Path, tmp_path: Path, layout: str) -> None:
    file = save_lora(tmp_path / "look.safetensors", LAYOUTS[layout](factors(tiny_transformer())))
    assert problem(str(folder), str(file)) is None
    missing = str(tmp_path / "none.safetensors")
    assert problem(str(folder), missing) == f"there is no LoRA file {missing}"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_of_another_model_is_refused_in_every_layout(
    folder: Path, tmp_path: Path, layout: str
) -> None:
    wide = save_lora(tmp_path / "wide.safetensors", LAYOUTS[layout](factors(tiny_transformer(ffn_dim=48))))
    with pytest.raises(EngineError, match=r"wide\.safetensors was made for another model: its layer blocks"):
        check_lora(str(folder), str(wide))
    deep = save_lora(tmp_path / "deep.safetensors", LAYOUTS[layout](factors(tiny_transformer(num_layers=3))))
    with pytest.raises(
        EngineError, match=r"this one has no layer blocks\.2\.attn1\.to_k, nor 9 further ones"
    ):
        check_lora(str(folder), str(deep))


def test_a_model_that_is_not_here_and_one_of_another_family_are_not_compared(tmp_path: Path) -> None:
    file = save_lora(tmp_path / "look.safetensors", diffusers_keys(factors(tiny_transformer())))
    asked = {"nobody/nothing": str(file), None: str(file), "": "nobody/loras/not-in-the-cache.safetensors"}
    assert [problem(model, lora) for model, lora in asked.items()] == [None, None, None]


def lora_of(path: Path, transformer: str, kept: Callable[[str], bool] = lambda layer: True) -> Path:
    """The header of a LoRA of rank 2 for a published transformer, with the layers of its blocks."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer, (outputs, inputs) in layers_of_config(transformer_config(transformer)).items():
        if layer.startswith("blocks.") and kept(layer):
            shapes[f"transformer.{layer}.lora_A.weight"] = (2, inputs)
            shapes[f"transformer.{layer}.lora_B.weight"] = (outputs, 2)
    return write_sparse(path, shapes)


def published(*names: str) -> tuple[str, ...]:
    return tuple(VARIANTS[name].title for name in names)


@pytest.mark.parametrize(
    ("transformer", "titles"),
    [
        ("t2v-1.3b", published("wan2.1-t2v-1.3b", "wan2.1-vace-1.3b")),
        ("ti2v-5b", published("wan2.2-ti2v-5b")),
        (
            "t2v-14b",
            published(
                "wan2.1-t2v-14b",
                "wan2.1-vace-14b",
                "wan2.2-vace-fun-a14b",
                "wan2.2-t2v-a14b",
                "wan2.2-i2v-a14b",
            ),
        ),
        ("i2v-14b", published("wan2.1-i2v-14b", "wan2.1-flf2v-14b")),
    ],
)
def test_a_file_says_which_published_models_it_is_for(
    tmp_path: Path, transformer: str, titles: tuple[str, ...]
) -> None:
    assert made_for(lora_of(tmp_path / "look.safetensors", transformer)) == titles


def test_the_model_it_was_made_for_is_told_where_another_refuses_it(folder: Path, tmp_path: Path) -> None:
    file = lora_of(tmp_path / "look.safetensors", "ti2v-5b")
    with pytest.raises(EngineError, match=r"was made for another model \(Wan 2\.2 TI2V 5B\): "):
        check_lora(str(folder), str(file))


def test_a_file_for_unpublished_layers_is_for_none(tmp_path: Path) -> None:
    config: dict[str, Any] = {"ffn_dim": 48}
    file = save_lora(tmp_path / "own.safetensors", diffusers_keys(factors(tiny_transformer(**config))))
    assert made_for(file) == ()
    with pytest.raises(EngineError, match="is no LoRA"):
        made_for(write_sparse(tmp_path / "model.safetensors", {"transformer.proj_out.weight": (4, 4)}))
