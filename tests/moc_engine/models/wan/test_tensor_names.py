"""Names of the original release are all of the tensors that the classes of diffusers have."""

from __future__ import annotations

import pytest
from diffusers import AutoencoderKLWan, WanTransformer3DModel, WanVACETransformer3DModel

from moc_engine.models.wan.tensor_names import transformer_name, vae_name
from moc_engine.models.wan.variants import CONFIGS
from tests.fakes.weights_files import empty_shapes, published_transformer, published_vae


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
