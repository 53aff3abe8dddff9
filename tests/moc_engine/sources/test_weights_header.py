from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from safetensors.torch import load_file, save_file

from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.sources.weights_header import TensorInfo, read_header


def safetensors(folder: Path) -> Path:
    file = folder / "weights.safetensors"
    weights = {"a": torch.zeros(3, 4), "b": torch.zeros(5, dtype=torch.bfloat16)}
    save_file(weights, file, metadata={"modelspec.title": "fox"})
    return file


def gguf(folder: Path) -> Path:
    file = folder / "weights.gguf"
    writer = GGUFWriter(file, "wan")
    writer.add_array("tags", ["a", "b"])
    writer.add_tensor("patch", np.zeros((8, 4, 1, 2, 2), np.float32))
    packed = quantize(np.zeros((6, 64), np.float32), GGMLQuantizationType.Q8_0)
    writer.add_tensor("linear", packed, raw_dtype=GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def test_a_safetensors_file_names_its_tensors(tmp_path: Path) -> None:
    header = read_header(safetensors(tmp_path))
    assert header.tensors == {
        "a": TensorInfo(dtype="F32", shape=(3, 4)),
        "b": TensorInfo(dtype="BF16", shape=(5,)),
    }
    assert (header.parameters, header.dtype) == (17, "F32")
    assert header.metadata == {"modelspec.title": "fox"}
    assert header.shape("a") == (3, 4)
    assert header.shape("c") is None


def test_a_gguf_file_names_its_tensors(tmp_path: Path) -> None:
    header = read_header(gguf(tmp_path))
    assert header.tensors == {
        "patch": TensorInfo(dtype="F32", shape=(8, 4, 1, 2, 2)),
        "linear": TensorInfo(dtype="Q8_0", shape=(6, 64)),
    }
    assert header.metadata["general.architecture"] == "wan"
    assert header.metadata["tags"] == ["a", "b"]


@pytest.mark.parametrize("write", [safetensors, gguf])
@pytest.mark.parametrize("kept", [1, 4, 12, 50, -40])
def test_a_file_that_is_cut_off_is_told(tmp_path: Path, write: object, kept: int) -> None:
    assert callable(write)
    file = write(tmp_path)
    content = file.read_bytes()
    file.write_bytes(content[:kept])
    with pytest.raises(ModelNotFound, match=r"is cut off|is damaged"):
        read_header(file)
    if kept == -40:
        with pytest.raises(ModelNotFound, match=r"cut off: [\d,]+ of [\d,]+ bytes are there"):
            read_header(file)


def test_pickles_are_never_read(tmp_path: Path) -> None:
    for name in ("model.pt", "model.ckpt", "false.safetensors", "false.gguf"):
        (tmp_path / name).write_bytes(pickle.dumps({"weights": [1, 2, 3]}))
        with pytest.raises(ModelNotFound, match=r"may hold code.* is never read"):
            read_header(tmp_path / name)


@pytest.mark.parametrize("length", [0x0280, 0x0380, 0x0480, 0x0580, 0x4B50])
def test_a_header_whose_length_begins_as_a_pickle_does_is_read(tmp_path: Path, length: int) -> None:
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'.ljust(length)
    file = tmp_path / "x.safetensors"
    file.write_bytes(struct.pack("<Q", length) + header + bytes(4))
    assert load_file(file)["a"].shape == (1,)
    assert read_header(file).shape("a") == (1,)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x" * 100,
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 2) + b"17",
        struct.pack("<Q", 56) + b'{"a":{"dtype":"F32","shape":[1e999],"data_offsets":[0,4]}}',
        struct.pack("<Q", 8) + b'{"a": 1}',
        struct.pack("<Q", 1 << 40) + b"{}",
        struct.pack("<Q", 60) + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,400]}}    ' + bytes(400),
    ],
)
def test_damaged_headers_are_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(ModelNotFound, match=r"x\.safetensors is (damaged|cut off)"):
        read_header(tmp_path / "x.safetensors")


def test_a_gguf_file_that_is_aligned_to_nothing_is_damaged(tmp_path: Path) -> None:
    field = struct.pack("<Q", 17) + b"general.alignment" + struct.pack("<II", 4, 0)
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + field)
    with pytest.raises(ModelNotFound, match=r"x\.gguf is damaged"):
        read_header(tmp_path / "x.gguf")


def test_other_files_and_missing_ones_are_told(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").touch()
    with pytest.raises(ModelMismatch, match="is no file of weights"):
        read_header(tmp_path / "film.mp4")
    with pytest.raises(ModelNotFound, match="there is no file"):
        read_header(tmp_path / "nowhere.safetensors")
