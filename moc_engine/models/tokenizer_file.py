"""The tokenizer that a file of a text encoder carries: a SentencePiece model.

ComfyUI's safetensors have it as bytes of one tensor, GGUF files as lists of pieces and scores. Those bytes
are a protocol buffer: pieces (field 1: text, score, type) and the normalizer (field 3), whose field 2 holds
the table of characters that are replaced.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from safetensors import safe_open
from transformers import T5Tokenizer

from moc_engine.errors import ModelNotFound
from moc_engine.sources.weights_header import GGUF_PIECES, SPIECE, read_header

EXTRA: Final = 300
"""Tokens that UMT5 has besides its pieces, for tasks of its training."""

_PIECES, _NORMALIZER = 1, 3
_TEXT, _SCORE, _TABLE = 1, 2, 2


def tokenizer_of_file(file: Path) -> Any:
    """The tokenizer in a file of a text encoder. Raises `ModelNotFound` where it is damaged."""
    try:
        pieces, table = _of_gguf(file) if file.suffix.lower() == ".gguf" else _of_safetensors(file)
    except (IndexError, KeyError, TypeError, UnicodeDecodeError, ValueError, struct.error) as error:
        raise ModelNotFound(f"{file} is damaged: its tokenizer cannot be read") from error
    return T5Tokenizer(vocab=pieces, extra_ids=EXTRA, _spm_precompiled_charsmap=table)


def _of_safetensors(file: Path) -> tuple[list[tuple[str, float]], bytes | None]:
    with safe_open(file, framework="np") as tensors:
        return _parsed(tensors.get_tensor(SPIECE).tobytes())


def _of_gguf(file: Path) -> tuple[list[tuple[str, float]], bytes | None]:
    """The pieces without those that fill the list up to the rows of the embedding."""
    found = read_header(file).metadata
    pieces = list(zip(found[GGUF_PIECES], map(float, found["tokenizer.ggml.scores"]), strict=True))
    while pieces and re.fullmatch(r"\[PAD\d+\]|<extra_id_\d+>", pieces[-1][0]):
        pieces.pop()
    return pieces, bytes(found.get("tokenizer.ggml.precompiled_charsmap", ())) or None


def _parsed(model: bytes) -> tuple[list[tuple[str, float]], bytes | None]:
    """The pieces with their scores, and the table of the normalizer."""
    pieces: list[tuple[str, float]] = []
    table: bytes | None = None
    for field, value in _fields(model):
        if field == _PIECES:
            piece = dict(_fields(value))
            pieces.append((piece[_TEXT].decode(), struct.unpack("<f", piece.get(_SCORE, bytes(4)))[0]))
        elif field == _NORMALIZER:
            table = dict(_fields(value)).get(_TABLE) or None
    return pieces, table


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a protocol buffer: number and bytes; numbers of variable length as nothing."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        match key & 7:
            case 0:
                _, at = _varint(message, at)
                continue
            case 1:
                length = 8
            case 5:
                length = 4
            case 2:
                length, at = _varint(message, at)
            case other:
                raise KeyError(other)
        if at + length > len(message):
            raise IndexError("a field is longer than the message")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
