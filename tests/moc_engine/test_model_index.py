from __future__ import annotations

import json
from pathlib import Path

import pytest

from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.model_index import read_model_index
from moc_engine.models.finding import find_here
from moc_engine.sources.hub_id import parse_hub_id


def test_a_pipeline_folder_names_its_class(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "WanPipeline"}))
    assert read_model_index(tmp_path) == {"_class_name": "WanPipeline"}
    assert read_model_index(str(tmp_path)) == {"_class_name": "WanPipeline"}


@pytest.mark.parametrize("name", ["Wan-AI/Wan2.1-T2V-1.3B-Diffusers", "some_model", "a-b/c.d"])
def test_a_hub_id_has_none_here(name: str) -> None:
    assert read_model_index(name) is None


def test_other_files_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"film")
    with pytest.raises(ModelMismatch, match=r"film\.mp4 is a file and not the folder of a model"):
        read_model_index(tmp_path / "film.mp4")


@pytest.mark.parametrize("source", [Path("nowhere"), "./nowhere", "/no/such/folder", "~/model"])
def test_a_path_to_nothing_is_told(source: str | Path) -> None:
    with pytest.raises(ModelNotFound, match="there is no folder"):
        read_model_index(source)


@pytest.mark.parametrize("text", [None, "{", "[]", "{}"])
def test_a_folder_without_an_index_is_told(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "model_index.json").write_text(text)
    with pytest.raises(ModelNotFound, match=r"model_index\.json is (missing|damaged)"):
        read_model_index(tmp_path)


@pytest.mark.parametrize("source", ["x" * 300, "a/" + "x" * 300, "nul\0byte.safetensors"])
def test_a_path_that_the_system_refuses_is_told(source: str) -> None:
    with pytest.raises(ModelNotFound, match=r"cannot be read|there is no folder"):
        read_model_index(source)
    with pytest.raises(ModelNotFound, match=r"cannot be read|there is no folder"):
        find_here(source)


@pytest.mark.parametrize("name", ["a/b@main/../../refs", "a/b..c", "a/" + "b" * 95])
def test_names_that_lead_elsewhere_are_none_of_the_hub(name: str) -> None:
    assert parse_hub_id(name) is None
