"""Loading part by part, for each family."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

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


def test_a_wan_model_of_two_experts_is_refused_before_its_weights_are_read(tmp_path: Path) -> None:
    save_tiny_video(tmp_path)
    file = tmp_path / "model_index.json"
    index = json.loads(file.read_text())
    file.write_text(json.dumps({**index, "transformer_2": index["transformer"]}))
    for weights in tmp_path.glob("*/*.safetensors"):
        weights.unlink()
    with pytest.raises(ModelMismatch, match="does not denoise with one transformer throughout"):
        next(load_parts(tmp_path, "cpu"))


def test_a_wan_model_that_lacks_weights_is_refused(tmp_path: Path) -> None:
    save_tiny_video(tmp_path)
    config = tmp_path / "transformer" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "num_layers": 3}))
    with pytest.raises(ModelMismatch, match=r"the transformer's weights are not those its config\.json"):
        loaded(tmp_path)
