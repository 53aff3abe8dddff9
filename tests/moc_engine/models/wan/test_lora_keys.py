"""Which layer a tensor of a LoRA file is for, in all the names that trainers write."""

from __future__ import annotations

import pytest

from moc_engine.models.wan.lora_keys import LoraKey, lora_key


@pytest.mark.parametrize(
    "name",
    [
        "transformer.blocks.3.attn2.to_k.lora_A.weight",
        "blocks.3.attn2.to_k.lora_A.weight",
        "base_model.model.blocks.3.attn2.to_k.lora_A.default.weight",
        "diffusion_model.blocks.3.cross_attn.k.lora_down.weight",
        "model.diffusion_model.blocks.3.cross_attn.k.lora_A.weight",
        "blocks.3.cross_attn.k.lora_A.default.weight",
        "transformer.blocks.3.cross_attn.k.lora.down.weight",
        "lora_unet_blocks_3_cross_attn_k.lora_down.weight",
        "lora_unet__blocks_3_cross_attn_k.lora_down.weight",
    ],
)
def test_a_layer_is_known_by_all_its_names(name: str) -> None:
    assert lora_key(name) == LoraKey("blocks.3.attn2.to_k", "down")


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        ("blocks_12_self_attn_o", "blocks.12.attn1.to_out.0"),
        ("blocks_12_cross_attn_v_img", "blocks.12.attn2.add_v_proj"),
        ("blocks_0_ffn_0", "blocks.0.ffn.net.0.proj"),
        ("vace_blocks_1_ffn_2", "vace_blocks.1.ffn.net.2"),
        ("text_embedding_2", "condition_embedder.text_embedder.linear_2"),
        ("time_embedding_0", "condition_embedder.time_embedder.linear_1"),
        ("time_projection_1", "condition_embedder.time_proj"),
        ("img_emb_proj_3", "condition_embedder.image_embedder.ff.net.2"),
        ("head_head", "proj_out"),
    ],
)
def test_names_of_kohya_are_read_in_every_layer(name: str, layer: str) -> None:
    assert lora_key(f"lora_unet_{name}.lora_up.weight") == LoraKey(layer, "up")


@pytest.mark.parametrize(
    ("suffix", "factor"),
    [
        ("lora_B.weight", "up"),
        ("lora_B.bias", "up_bias"),
        ("alpha", "alpha"),
        ("diff", "whole"),
        ("diff_b", "bias"),
    ],
)
def test_tensors_of_a_layer_are_told_apart(suffix: str, factor: str) -> None:
    found = lora_key(f"diffusion_model.blocks.0.ffn.2.{suffix}")
    assert found is not None
    assert (found.layer, found.factor) == ("blocks.0.ffn.net.2", factor)


def test_other_tensors_are_no_part_of_a_lora() -> None:
    assert lora_key("diffusion_model.blocks.0.ffn.2.weight") is None
    assert lora_key("diffusion_model.blocks.0.ffn.2.lora_mid.weight") is None
