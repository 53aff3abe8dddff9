import os
from pathlib import Path

import pytest
import torch
from torch import Tensor

from moc_engine.models import caption_cache
from moc_engine.models.caption_cache import CachedTextEncoder, Encoded, part_identity
from moc_engine.sources.parts import PartSource

CPU = torch.device("cpu")


class Encoder:
    """Stands in for a text encoder; counts its loads and runs."""

    def __init__(self) -> None:
        self.loads = 0
        self.runs = 0

    def load(self) -> "Encoder":
        self.loads += 1
        return self

    def __call__(self, input_ids: Tensor, attention_mask: Tensor) -> Encoded:
        self.runs += 1
        return Encoded(last_hidden_state=(input_ids * 1.5)[..., None].to(torch.bfloat16))


def encode(cached: CachedTextEncoder, *tokens: int) -> Tensor:
    ids = torch.tensor([tokens])
    return cached(ids, torch.ones_like(ids)).last_hidden_state


def test_a_caption_is_encoded_once(tmp_path: Path) -> None:
    encoder = Encoder()
    cached = CachedTextEncoder(encoder.load, CPU, identity="a", folder=tmp_path)
    first = encode(cached, 1, 2)
    assert torch.equal(encode(cached, 1, 2), first)
    assert first.dtype == torch.bfloat16
    encode(cached, 1, 2, 3)
    assert (encoder.loads, encoder.runs) == (1, 2)

    later = Encoder()
    assert torch.equal(encode(CachedTextEncoder(later.load, CPU, identity="a", folder=tmp_path), 1, 2), first)
    assert (later.loads, later.runs) == (0, 0)
    encode(CachedTextEncoder(later.load, CPU, identity="other weights", folder=tmp_path), 1, 2)
    assert later.runs == 1


def test_a_freed_encoder_is_loaded_for_new_captions_alone(tmp_path: Path) -> None:
    encoder = Encoder()
    cached = CachedTextEncoder(encoder.load, CPU, identity="a", folder=tmp_path, loaded=encoder)
    encode(cached, 1)
    cached.release()
    assert not cached.is_loaded
    encode(cached, 1)
    assert not cached.is_loaded
    encode(cached, 2)
    assert cached.is_loaded
    assert encoder.loads == 1


def test_damaged_files_and_full_disks_cost_time_alone(tmp_path: Path) -> None:
    encoder = Encoder()
    cached = CachedTextEncoder(encoder.load, CPU, identity="a", folder=tmp_path)
    states = encode(cached, 1)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"half")
    assert torch.equal(encode(cached, 1), states)

    (tmp_path / "a file").touch()
    nowhere = CachedTextEncoder(encoder.load, CPU, identity="a", folder=tmp_path / "a file" / "folder")
    assert torch.equal(encode(nowhere, 1), states)


def test_the_oldest_files_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caption_cache, "KEPT", 3)
    cached = CachedTextEncoder(Encoder().load, CPU, identity="a", folder=tmp_path)
    for token in range(5):
        encode(cached, token)
        for age, file in enumerate(sorted(tmp_path.iterdir(), key=lambda file: file.stat().st_mtime_ns)):
            os.utime(file, (age, age))
    assert len(list(tmp_path.iterdir())) == 3


def test_the_identity_follows_the_files(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    part = PartSource(path=tmp_path)
    before = part_identity(part, torch.float32)
    assert before == part_identity(part, torch.float32)
    assert before != part_identity(part, torch.bfloat16)
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    assert before != part_identity(part, torch.float32)
    assert part_identity(PartSource(path=tmp_path / "model.safetensors")) != before
