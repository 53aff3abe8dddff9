from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFWriter

from moc_engine.errors import ModelNotFound
from moc_engine.models.tokenizer_file import tokenizer_of_file
from tests.fakes.weights_files import save_weights, spiece_model

PIECES = {
    "<pad>": 0.0,
    "</s>": 0.0,
    "<unk>": 0.0,
    "▁": -3.0,
    "▁fox": -1.0,
    "▁run": -2.0,
    "s": -1.5,
    **dict.fromkeys("abcdefghijklmnopqrtuvwxyz", -6.0),
}


def carried(folder: Path, model: bytes) -> Path:
    return save_weights(folder / "umt5.safetensors", {"shared.weight": torch.zeros(2, 2)}, tokenizer=model)


def test_the_tokenizer_of_a_file_splits_as_its_pieces_say(tmp_path: Path) -> None:
    tokenizer = tokenizer_of_file(carried(tmp_path, spiece_model(PIECES)))
    read = tokenizer("fox  runs", return_tensors="pt")
    assert tokenizer.convert_ids_to_tokens(read.input_ids[0]) == ["▁fox", "▁run", "s", "</s>"]
    assert read.input_ids.tolist() == [[4, 5, 6, 1]]
    assert read.char_to_token(0) == 0
    assert tokenizer.pad_token_id == 0
    assert tokenizer.is_fast


def carried_by_gguf(file: Path, scores: list[float] | None = None) -> Path:
    """A GGUF file with the pieces, and such as fill the list up to the rows of the embedding."""
    filling = ["<extra_id_0>", "[PAD34]", "[PAD35]"]
    writer = GGUFWriter(file, "t5")
    writer.add_token_list([*PIECES, *filling])
    writer.add_token_scores([*PIECES.values(), *[-10000.0] * 3] if scores is None else scores)
    writer.add_tensor("token_embd.weight", np.zeros((2, 2), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def test_a_gguf_file_carries_the_same_tokenizer(tmp_path: Path) -> None:
    one = tokenizer_of_file(carried(tmp_path, spiece_model(PIECES)))
    other = tokenizer_of_file(carried_by_gguf(tmp_path / "umt5.gguf"))
    assert other.get_vocab() == one.get_vocab()
    for text in ("fox  runs", "a fox", "Zebra, runs!", "", "<extra_id_3>"):
        assert other(text).input_ids == one(text).input_ids
    half = carried_by_gguf(tmp_path / "half.gguf", scores=[0.0])
    with pytest.raises(ModelNotFound, match="its tokenizer cannot be read"):
        tokenizer_of_file(half)


def test_a_damaged_tokenizer_is_told(tmp_path: Path) -> None:
    model = spiece_model(PIECES)
    for damaged in (model[:-1], b"\xff" * 40, b"\x0b"):
        with pytest.raises(ModelNotFound, match="its tokenizer cannot be read"):
            tokenizer_of_file(carried(tmp_path, damaged))
