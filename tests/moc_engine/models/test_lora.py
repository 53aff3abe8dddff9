import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanPipeline
from torch import Tensor

from moc_engine.contract import Lora
from moc_engine.errors import EngineError
from moc_engine.models import lora as adapters
from moc_engine.models.lora import LoraAdapters
from moc_engine.models.wan.lora_reading import read_lora
from tests.fakes.loras import comfyui_keys, diffusers_keys, factors, kohya_keys, save_lora
from tests.fakes.models import tiny_transformer

Keys = Callable[[Mapping[str, tuple[Tensor, Tensor]]], dict[str, Tensor]]


def predicted(transformer: Any) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(1, 4, 2, 4, 4, generator=generator)
    captions = torch.randn(1, 5, 16, generator=generator)
    with torch.no_grad():
        out: Tensor = transformer(latents, torch.tensor([500.0]), captions, return_dict=False)[0]
    return out


def of_diffusers(files: Mapping[Path, float], **config: Any) -> Tensor:
    """What diffusers' own pipeline predicts with these LoRAs."""
    transformer = tiny_transformer(**config)
    pipeline = WanPipeline(
        tokenizer=None, text_encoder=None, vae=None, scheduler=None, transformer=transformer
    )
    for nth, file in enumerate(files):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Already found a `peft_config`")
            pipeline.load_lora_weights(str(file), adapter_name=f"n{nth}")
    pipeline.set_adapters([f"n{nth}" for nth in range(len(files))], list(files.values()))
    return predicted(transformer)


def adapters_of(transformer: Any) -> LoraAdapters:
    return LoraAdapters({"high": transformer}, read_lora)


@pytest.mark.parametrize(
    "keys",
    [
        diffusers_keys,
        comfyui_keys,
        lambda parts: comfyui_keys(parts, names=("lora_down", "lora_up"), alpha=1.5),
        lambda parts: kohya_keys(parts, alpha=2.0),
    ],
    ids=["diffusers", "comfyui", "comfyui with alpha", "kohya"],
)
def test_equals_diffusers_in_every_layout(tmp_path: Path, keys: Keys) -> None:
    transformer = tiny_transformer()
    file = save_lora(tmp_path / "look.safetensors", keys(factors(transformer)))
    plain = predicted(transformer)

    adapters_of(transformer).use([Lora(source=str(file), weight=0.7)])

    assert torch.equal(predicted(transformer), of_diffusers({file: 0.7}))
    assert not torch.allclose(predicted(transformer), plain)


def test_several_at_once_add_up_as_in_diffusers(tmp_path: Path) -> None:
    transformer = tiny_transformer()
    one, two = (
        save_lora(
            tmp_path / f"{seed}.safetensors", diffusers_keys(factors(transformer, rank=rank, seed=seed))
        )
        for seed, rank in ((1, 2), (2, 5))
    )

    used = adapters_of(transformer).use([Lora(source=str(one)), Lora(source=str(two), weight=-0.5)])

    assert torch.equal(predicted(transformer), of_diffusers({one: 1.0, two: -0.5}))
    assert [lora.weight for lora in used] == [1.0, -0.5]
    assert len({lora.digest for lora in used}) == 2


def test_biases_are_added_and_norms_left_out_are_told(tmp_path: Path) -> None:
    transformer = tiny_transformer()
    state = comfyui_keys(factors(transformer))
    for key, down in list(state.items()):
        if key.endswith("lora_B.weight"):
            state[key.replace("lora_B.weight", "diff_b")] = torch.zeros(len(down))
    state["diffusion_model.blocks.1.ffn.2.diff_b"] = torch.ones(24)
    whole = save_lora(tmp_path / "whole.safetensors", state)
    few = {key: value for key, value in state.items() if "diff_b" not in key or bool(value.any())}
    few["diffusion_model.blocks.0.norm3.diff"] = torch.ones(24)
    file = save_lora(tmp_path / "few.safetensors", few)

    (used,) = adapters_of(transformer).use([Lora(source=str(file))])

    assert torch.equal(predicted(transformer), of_diffusers({whole: 1.0}))
    assert used.left_out == ("1 differences of norms",)


def test_switching_needs_no_reading_and_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    transformer = tiny_transformer()
    plain = predicted(transformer)
    read: list[Path] = []

    def reading(file: Path, transformer: Any) -> adapters.LoraWeights:
        read.append(file)
        return read_lora(file, transformer)

    one, two = (
        save_lora(tmp_path / f"{seed}.safetensors", diffusers_keys(factors(transformer, seed=seed)))
        for seed in (1, 2)
    )
    loras = LoraAdapters({"high": transformer}, reading)
    with_one = (loras.use([Lora(source=str(one))]), predicted(transformer))[1]
    with_two = (loras.use([Lora(source=str(two))]), predicted(transformer))[1]

    loras.use([])
    assert torch.equal(predicted(transformer), plain)
    loras.use([Lora(source=str(one))])
    assert torch.equal(predicted(transformer), with_one)
    loras.use([Lora(source=str(two))])
    assert torch.equal(predicted(transformer), with_two)
    assert read == [one, two]


def test_experts_take_their_own(tmp_path: Path) -> None:
    high, low = tiny_transformer(), tiny_transformer()
    file = save_lora(tmp_path / "look.safetensors", diffusers_keys(factors(high)))
    loras = LoraAdapters({"high": high, "low": low}, read_lora)
    plain, changed = predicted(high), of_diffusers({file: 1.0})

    loras.use([Lora(source=str(file), expert="low")])
    assert torch.equal(predicted(high), plain)
    assert torch.equal(predicted(low), changed)
    loras.use([Lora(source=str(file))])
    assert torch.equal(predicted(high), changed)
    loras.use([Lora(source=str(file), expert="high")])
    assert torch.equal(predicted(low), plain)

    with pytest.raises(EngineError, match="for the low-noise expert, but the model has one transformer"):
        adapters_of(tiny_transformer()).use([Lora(source=str(file), expert="low")])


def test_image_layers_that_the_model_lacks_are_left_out_and_told(tmp_path: Path) -> None:
    with_images = tiny_transformer(image_dim=8, added_kv_proj_dim=24)
    parts = factors(with_images)
    of_images = {name for name in parts if "add_" in name}
    assert of_images
    state = comfyui_keys({name: pair for name, pair in parts.items() if name not in of_images})
    for block in range(2):
        for layer in ("k_img", "v_img"):
            key = f"diffusion_model.blocks.{block}.cross_attn.{layer}"
            state[f"{key}.lora_A.weight"], state[f"{key}.lora_B.weight"] = (
                torch.ones(3, 24),
                torch.ones(24, 3),
            )
    file = save_lora(tmp_path / "i2v.safetensors", state)
    without = {key: value for key, value in state.items() if "_img" not in key}
    text_alone = save_lora(tmp_path / "t2v.safetensors", without)

    transformer = tiny_transformer()
    (used,) = adapters_of(transformer).use([Lora(source=str(file))])

    assert used.left_out == ("4 layers for images, which this model has not",)
    assert torch.equal(predicted(transformer), of_diffusers({text_alone: 1.0}))


def test_a_file_for_another_model_is_refused_in_words(tmp_path: Path) -> None:
    wider = tiny_transformer(ffn_dim=48)
    file = save_lora(tmp_path / "wide.safetensors", diffusers_keys(factors(wider)))
    with pytest.raises(
        EngineError,
        match=r"made for another model: its layer blocks\.0\.ffn\.net\.0\.proj has 24 inputs and 48 outputs, "
        r"this model's 24 and 32",
    ):
        adapters_of(tiny_transformer()).use([Lora(source=str(file))])
    deeper = tiny_transformer(num_layers=3)
    file = save_lora(tmp_path / "deep.safetensors", diffusers_keys(factors(deeper)))
    with pytest.raises(EngineError, match=r"no layer blocks\.2\.attn1\.to_k, nor 9 further ones"):
        adapters_of(tiny_transformer()).use([Lora(source=str(file))])


def test_an_incomplete_file_is_refused_and_the_model_stays_usable(tmp_path: Path) -> None:
    transformer = tiny_transformer()
    plain = predicted(transformer)
    state = kohya_keys(factors(transformer), alpha=1.0)
    del state["lora_unet_blocks_1_ffn_2.lora_up.weight"]
    file = save_lora(tmp_path / "half.safetensors", state)
    loras = adapters_of(transformer)

    with pytest.raises(
        EngineError, match=r"is not complete: its layer blocks\.1\.ffn\.net\.2 has one of two factors"
    ):
        loras.use([Lora(source=str(file))])

    loras.use([])
    assert torch.equal(predicted(transformer), plain)


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    transformer = tiny_transformer()
    file = tmp_path / "look.safetensors"
    loras = adapters_of(transformer)
    save_lora(file, diffusers_keys(factors(transformer, rank=2)))
    (before,) = loras.use([Lora(source=str(file))])
    save_lora(file, diffusers_keys(factors(transformer, rank=3)))

    (after,) = loras.use([Lora(source=str(file))])

    assert before.digest != after.digest
    assert torch.equal(predicted(transformer), of_diffusers({file: 1.0}))


def test_only_the_last_adapters_are_kept(tmp_path: Path) -> None:
    transformer = tiny_transformer()
    loras = adapters_of(transformer)
    for seed in range(adapters.KEPT + 3):
        file = save_lora(tmp_path / f"{seed}.safetensors", diffusers_keys(factors(transformer, seed=seed)))
        loras.use([Lora(source=str(file))])

    assert len(transformer.peft_config) == adapters.KEPT


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="there is no LoRA file"):
        adapters_of(tiny_transformer()).use([Lora(source=str(tmp_path / "none.safetensors"))])
