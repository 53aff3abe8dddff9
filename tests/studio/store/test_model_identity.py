from __future__ import annotations

from pathlib import Path

import pytest

from moc_engine.errors import ModelNotFound
from studio import __version__
from studio.store.model_identity import ANIMATIC, family, identify


def model(folder: Path, weights: bytes) -> Path:
    (folder / "transformer").mkdir(parents=True)
    (folder / "model_index.json").write_text('{"_class_name": "AnimaticPipeline"}')
    (folder / "transformer" / "model.safetensors").write_bytes(weights)
    return folder


def test_weights_tell_models_apart(tmp_path: Path) -> None:
    one = identify(str(model(tmp_path / "a" / "model", b"one")))
    same = identify(str(model(tmp_path / "b" / "copy", b"one")))
    other = identify(str(model(tmp_path / "c" / "model", b"two")))
    assert one == same != other
    assert one.startswith("animatic@")


def test_notes_beside_the_weights_do_not_count(tmp_path: Path) -> None:
    folder = model(tmp_path / "model", b"one")
    before = identify(str(folder))
    (folder / "README.md").write_text("a model card")
    assert identify(str(folder)) == before


def test_both_ends_of_large_files_count(tmp_path: Path) -> None:
    folder = model(tmp_path / "model", b"x")
    weights = folder / "transformer" / "model.safetensors"
    with weights.open("wb") as file:
        file.truncate(70 * 2**20)
    before = identify(str(folder))
    with weights.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"1")
    assert identify(str(folder)) != before


def test_the_family_is_that_of_the_pipeline(tmp_path: Path) -> None:
    folder = model(tmp_path / "model", b"one")
    assert family(str(folder)) == family(None) == ANIMATIC
    (folder / "model_index.json").write_text('{"_class_name": "WanPipeline"}')
    assert family(str(folder)) == "wan"
    assert family("Wan-AI/Wan2.1-T2V-1.3B-Diffusers") is None


@pytest.mark.parametrize("index", [None, "", "[]", "{}", "[" * 100_000])
def test_a_folder_without_a_model_is_not_read(tmp_path: Path, index: str | None) -> None:
    if index is not None:
        (tmp_path / "model_index.json").write_text(index)
    (tmp_path / "huge.json").symlink_to("/dev/zero")
    with pytest.raises(ModelNotFound, match=f"no model in {tmp_path}: model_index.json is (missing|damaged)"):
        identify(str(tmp_path))


def test_a_hub_id_stands_for_itself() -> None:
    name = identify("Wan-AI/Wan2.1-T2V-1.3B-Diffusers")
    assert name == f"Wan-AI/Wan2.1-T2V-1.3B-Diffusers ({__version__})"


@pytest.mark.parametrize("model", ["./nowhere", "/no/such/folder", "a/b/c", "~/models"])
def test_a_path_to_nothing_is_no_hub_id(model: str) -> None:
    with pytest.raises(ModelNotFound, match="there is no folder"):
        family(model)
    assert family("Wan-AI/Wan2.1-T2V-1.3B-Diffusers") is None
