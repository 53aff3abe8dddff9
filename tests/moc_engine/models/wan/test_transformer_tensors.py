"""The tensors of published transformers are those of the classes of diffusers."""

from __future__ import annotations

import pytest
from diffusers import WanTransformer3DModel, WanVACETransformer3DModel

from moc_engine.models.wan.transformer_tensors import tensors_of_config
from moc_engine.models.wan.variants import CONFIGS, transformer_config
from tests.fakes.weights_files import empty_shapes


@pytest.mark.parametrize("name", sorted(path.name for path in (CONFIGS / "transformer").iterdir()))
def test_names_and_shapes_are_those_of_the_class(name: str) -> None:
    kind = WanVACETransformer3DModel if name.startswith("vace") else WanTransformer3DModel
    assert tensors_of_config(transformer_config(name)) == empty_shapes(kind, CONFIGS / "transformer" / name)
