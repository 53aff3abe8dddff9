from __future__ import annotations

from pathlib import Path

from studio import __version__
from studio.model_identity import identify


def model(folder: Path, weights: bytes) -> Path:
    (folder / "transformer").mkdir(parents=True)
    (folder / "model_index.json").write_text("{}")
    (folder / "transformer" / "model.safetensors").write_bytes(weights)
    return folder


def test_weights_tell_models_apart(tmp_path: Path) -> None:
    one = identify(str(model(tmp_path / "a" / "model", b"one")))
    same = identify(str(model(tmp_path / "b" / "model", b"one")))
    other = identify(str(model(tmp_path / "c" / "model", b"two")))
    assert one == same != other
    assert one.startswith("model@")


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


def test_a_hub_id_stands_for_itself() -> None:
    name = identify("Wan-AI/Wan2.1-T2V-1.3B-Diffusers")
    assert name == f"Wan-AI/Wan2.1-T2V-1.3B-Diffusers ({__version__})"
