"""Loading part by part, for each family."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from moc_engine.errors import ModelMismatch
from moc_engine.model_index import EMBEDDED
from moc_engine.models.animatic.model import save
from moc_engine.models.backbone import Backbone
from moc_engine.models.loading import load_parts
from tests.fakes.models import save_tiny_video, tiny_animatic


def loaded(source: Path | None) -> tuple[list[str | None], Backbone]:
    """The parts in the order in which they are loaded, and the model."""
    loading = load_parts(source, "cpu")
    parts: list[str | None] = []
    while True:
        try:
            progress = next(loading)
        except StopIteration as stop:
            backbone: Backbone = stop.value
            return parts, backbone
        assert progress.done == len(parts)
        parts.append(progress.part)
        assert progress.parts >= len(parts) - 1


def test_an_animatic_model_loads_part_by_part(tmp_path: Path) -> None:
    save(tiny_animatic(), tmp_path / "tiny")
    parts, backbone = loaded(tmp_path / "tiny")
    assert parts == ["transformer", "smoother", "text_encoder", "tokenizer", "scheduler", None]
    assert backbone.name == "tiny"


def test_a_wan_model_loads_part_by_part(tmp_path: Path) -> None:
    save_tiny_video(tmp_path / "video")
    parts, backbone = loaded(tmp_path / "video")
    assert parts == ["text_encoder", "vae", "transformer", None]
    assert backbone.name == "video"


def test_the_embedded_model_has_a_name_of_its_own() -> None:
    assert (EMBEDDED / "model_index.json").is_file()
    assert loaded(None)[1].name == loaded(EMBEDDED)[1].name == "animatic"


TRANSFORMERS = ("transformer", "transformer_2")


@pytest.mark.parametrize(
    ("boundary", "there", "lacking"),
    [
        (0.875, ("transformer",), "transformer_2"),
        (0.875, ("transformer_2",), "transformer"),
        (None, ("transformer_2",), "transformer"),
        (1.0, ("transformer",), "transformer_2"),
    ],
)
def test_a_missing_expert_is_told_before_weights_are_read(
    boundary: float | None, there: tuple[str, ...], lacking: str, tmp_path: Path
) -> None:
    save_tiny_video(tmp_path)
    file = tmp_path / "model_index.json"
    index = json.loads(file.read_text())
    both = {name: index["transformer"] if name in there else [None, None] for name in TRANSFORMERS}
    file.write_text(json.dumps({**index, **both, "boundary_ratio": boundary}))
    for weights in tmp_path.glob("*/*.safetensors"):
        weights.unlink()
    with pytest.raises(ModelMismatch, match=f"lacks its {lacking}: its boundary_ratio is {boundary},"):
        next(load_parts(tmp_path, "cpu"))


def test_a_wan_model_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    save_tiny_video(tmp_path)
    config = tmp_path / "transformer" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "num_layers": 3}))
    with pytest.raises(ModelMismatch, match=r"the transformer's weights are not those its config\.json"):
        loaded(tmp_path)


def test_weights_that_the_transformer_would_not_use_are_refused(tmp_path: Path) -> None:
    save_tiny_video(tmp_path)
    file = tmp_path / "transformer" / "diffusion_pytorch_model.safetensors"
    gates = {"blocks.0.to_gate_compress.weight": torch.zeros(2, 2)}
    save_file({**load_file(file), **gates}, file, {"format": "pt"})
    with pytest.raises(ModelMismatch, match=r"blocks\.0\.to_gate_compress\.weight is too much"):
        loaded(tmp_path)
