"""A part's files are checked before a library reads them: what is missing or damaged is named."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from moc_engine.errors import ModelNotFound
from moc_engine.sources.part_files import check_part_files, weight_files
from moc_engine.sources.parts import PartSource, PipelineParts

WHOLE = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def model(tmp_path: Path) -> PipelineParts:
    """A model of one part, with a config.json and weights."""
    folder = tmp_path / "vae"
    folder.mkdir()
    (folder / "config.json").write_text('{"_class_name": "AutoencoderKLWan"}')
    save_file({"a": torch.zeros(8)}, folder / WHOLE)
    return PipelineParts(
        source=str(tmp_path),
        name="fox",
        index={"vae": ["diffusers", "X"]},
        parts={"vae": PartSource(path=folder)},
    )


def in_pieces(folder: Path, *names: str) -> None:
    """An index that names these pieces in place of the whole file."""
    (folder / WHOLE).unlink()
    pieces = {"metadata": {}, "weight_map": {str(n): name for n, name in enumerate(names)}}
    (folder / f"{WHOLE}.index.json").write_text(json.dumps(pieces))


def test_what_is_whole_is_read(model: PipelineParts) -> None:
    part = check_part_files(model, "vae")
    assert weight_files(part.path) == [part.path / WHOLE]
    save_file({"0": torch.zeros(8)}, part.path / "b.safetensors")
    save_file({"1": torch.zeros(8)}, part.path / "a.safetensors")
    in_pieces(part.path, "b.safetensors", "a.safetensors", "b.safetensors")
    check_part_files(model, "vae")
    assert [file.name for file in weight_files(part.path)] == ["a.safetensors", "b.safetensors"]


def test_pickles_beside_whole_weights_are_left_alone(model: PipelineParts) -> None:
    part = model.part("vae")
    (part.path / "pytorch_model.bin").write_bytes(pickle.dumps([1]))
    assert check_part_files(model, "vae") == part


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "config.json is missing; download or copy the model again"),
        (b"{", "config.json is damaged; download"),
    ]
    + [(content, "config.json is damaged") for content in (b"[]", b"\xff", b"[" * 10**5)],
)
def test_settings_are_there_and_whole(model: PipelineParts, content: bytes | None, words: str) -> None:
    file = model.part("vae").path / "config.json"
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(ModelNotFound, match=f"{file.parent}/{words}"):
        check_part_files(model, "vae")


def test_weights_that_are_missing_or_cut_off_are_named(model: PipelineParts) -> None:
    folder = model.part("vae").path
    whole = (folder / WHOLE).read_bytes()
    (folder / WHOLE).write_bytes(whole[:-1])
    with pytest.raises(ModelNotFound, match=f"{folder / WHOLE} is cut off.*; download or copy it again"):
        check_part_files(model, "vae")
    (folder / WHOLE).unlink()
    with pytest.raises(ModelNotFound, match=f"{folder / WHOLE} is missing; download or copy the model again"):
        check_part_files(model, "vae")
    (folder / "config.json").write_text("{}")  # of a class of transformers
    with pytest.raises(ModelNotFound, match=f"{folder}/model.safetensors is missing"):
        check_part_files(model, "vae")


def test_pieces_that_are_missing_are_named(model: PipelineParts) -> None:
    folder = model.part("vae").path
    in_pieces(folder, "a.safetensors")
    with pytest.raises(ModelNotFound, match=f"{folder}/a.safetensors is missing"):
        check_part_files(model, "vae")
    (folder / f"{WHOLE}.index.json").write_text('{"weight_map": {}}')
    with pytest.raises(ModelNotFound, match=rf"{WHOLE}\.index\.json is damaged"):
        check_part_files(model, "vae")


@pytest.mark.parametrize("piece", ["/etc/a.safetensors", "../a.safetensors", "..", "c:a.safetensors", ""])
def test_pieces_lie_in_the_folder_of_their_part(model: PipelineParts, piece: str) -> None:
    folder = model.part("vae").path
    save_file({"0": torch.zeros(8)}, folder.parent / "a.safetensors")
    in_pieces(folder, "b.safetensors", piece)
    with pytest.raises(ModelNotFound, match=r"index\.json names files outside of its folder"):
        weight_files(folder)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "piece.pt", WHOLE])
def test_pickles_in_the_place_of_weights_are_refused(model: PipelineParts, name: str) -> None:
    folder = model.part("vae").path
    if name.startswith("piece"):
        in_pieces(folder, name)
    else:
        (folder / WHOLE).unlink()
    (folder / name).write_bytes(pickle.dumps([1]))
    with pytest.raises(
        ModelNotFound, match=f"only safetensors are, and vae/{name} is not one; take the model in"
    ):
        check_part_files(model, "vae")


def test_a_part_that_is_missing_is_named_with_its_place(model: PipelineParts) -> None:
    folder = model.part("vae").path
    folder.rename(folder.with_name("other"))
    with pytest.raises(ModelNotFound, match=f"its vae is missing: there is no {folder}; download"):
        check_part_files(model, "vae")
