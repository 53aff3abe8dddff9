from __future__ import annotations

from pathlib import Path

import pytest
import torch

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


def test_a_damaged_tokenizer_is_told(tmp_path: Path) -> None:
    model = spiece_model(PIECES)
    for damaged in (model[:-1], b"\xff" * 40, b"\x0b"):
        with pytest.raises(ModelNotFound, match="its tokenizer cannot be read"):
            tokenizer_of_file(carried(tmp_path, damaged))
