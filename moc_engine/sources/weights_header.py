"""Reads what a file of weights contains without loading it: names, shapes, dtypes of tensors. No torch.

A safetensors file begins with the length of its header (8 bytes), then the header as JSON. A GGUF file begins
with "GGUF", its version, the numbers of tensors and of fields, the fields, and a record for each tensor.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Final

from moc_engine.errors import ModelMismatch, ModelNotFound

PICKLES: Final = frozenset({".bin", ".ckpt", ".pkl", ".pt", ".pth"})
"""Endings of files that hold code: they are never read."""

SPIECE: Final = "spiece_model"
"""The tensor in which ComfyUI's text encoders carry their tokenizer."""

GGUF_PIECES: Final = "tokenizer.ggml.tokens"
"""The field in which GGUF files carry the pieces of a tokenizer."""

SCALES: Final = frozenset(
    {"scale_weight", "scale_input", "weight_scale", "input_scale", "comfy_quant", "scaled_fp8"}
)
"""Last words of the names of tensors that tell how the weights beside them are stored in 8 bits."""

LONGEST_HEADER: Final = 100_000_000
"""Bytes; the limit of the format's own library."""

_BYTES: Final[Mapping[str, int]] = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
}
"""Bytes of an element of a safetensors dtype; of all others one at the most."""


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """A tensor of a file: its dtype as the file names it ("BF16", "F8_E4M3", "Q4_K"), and its shape."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        return prod(self.shape)


@dataclass(frozen=True, kw_only=True)
class WeightsHeader:
    """The tensors of a file of weights, by name, and what its maker wrote beside them."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, Any]

    @cached_property
    def parameters(self) -> int:
        """The number of elements of all tensors."""
        return sum(tensor.elements for tensor in self.tensors.values())

    @cached_property
    def dtype(self) -> str:
        """The dtype of most elements."""
        counts: dict[str, int] = {}
        for tensor in self.tensors.values():
            counts[tensor.dtype] = counts.get(tensor.dtype, 0) + tensor.elements
        return max(counts, key=lambda dtype: counts[dtype], default="none")

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a tensor; None where there is none of that name."""
        tensor = self.tensors.get(name)
        return None if tensor is None else tensor.shape


def read_header(path: Path) -> WeightsHeader:
    """The header of a .safetensors or .gguf file; that of a file which did not change is kept.

    Raises `ModelNotFound` for a file that is missing, cut off, damaged or a pickle, `ModelMismatch` for
    one of another kind.
    """
    try:
        found = path.stat()
    except OSError:
        return _read_header(path)
    return _kept_header(path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=256)
def _kept_header(path: Path, size: int, changed: int) -> WeightsHeader:
    return _read_header(path)


def _read_header(path: Path) -> WeightsHeader:
    suffix = path.suffix.lower()
    if suffix in PICKLES:
        raise ModelNotFound(
            f"{path} may hold code (a pickle) and is never read; only safetensors and GGUF are"
        )
    if suffix not in (".safetensors", ".gguf"):
        raise ModelMismatch(f"{path} is no file of weights; safetensors and GGUF are read")
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            if _begins_as_pickle(stream.read(9)):
                raise ModelNotFound(
                    f"{path} is a pickle under a false name, may hold code and is never read; "
                    "only safetensors and GGUF are"
                )
            stream.seek(0)
            return (_gguf if suffix == ".gguf" else _safetensors)(path, stream, size)
    except FileNotFoundError as error:
        raise ModelNotFound(f"there is no file {path}") from error
    except OSError as error:
        raise ModelNotFound(f"{path} cannot be read: {error.strerror or error}") from error
    except (
        ArithmeticError,
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        struct.error,
        RecursionError,
    ) as error:
        raise ModelNotFound(
            f"{path} is damaged: its header cannot be read; download or copy it again"
        ) from error


def is_pickle(path: Path) -> bool:
    """Whether a file may hold code, whatever it is called. Raises `OSError` where it cannot be read."""
    with path.open("rb") as stream:
        return _begins_as_pickle(stream.read(9))


def _begins_as_pickle(start: bytes) -> bool:
    """Of a file's first 9 bytes. The length of a safetensors header may begin as a pickle does."""
    if start[4:] == b"\0\0\0\0{":
        return False
    return start[:2] in (b"PK", *(bytes((0x80, protocol)) for protocol in range(2, 6)))


def _safetensors(path: Path, stream: BinaryIO, size: int) -> WeightsHeader:
    (length,) = struct.unpack("<Q", stream.read(8))
    if length > LONGEST_HEADER:
        raise ValueError("the header is too long")
    if size < 8 + length:
        raise _cut_off(path, size, 8 + length)
    header = json.loads(stream.read(length))
    metadata = dict(header.pop("__metadata__", None) or {})
    tensors = {
        name: TensorInfo(dtype=str(entry["dtype"]), shape=tuple(map(int, entry["shape"])))
        for name, entry in header.items()
    }
    whole = 8 + length + max((int(entry["data_offsets"][1]) for entry in header.values()), default=0)
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        if end - begin > tensors[name].elements * _BYTES.get(tensors[name].dtype, 1):
            raise ValueError(f"the tensor {name} has another size")
    if size < whole:
        raise _cut_off(path, size, whole)
    return WeightsHeader(path=path, tensors=tensors, metadata=metadata)


_NUMBERS: Final = {n: f"<{form}" for n, form in enumerate("BbHhIif?")} | {10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9


def _gguf(path: Path, stream: BinaryIO, size: int) -> WeightsHeader:
    from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType

    if stream.read(4) != b"GGUF":
        raise ValueError("another format")
    _number(stream, "<I")  # the version of the format
    tensor_count, field_count = _number(stream, "<Q"), _number(stream, "<Q")
    try:
        metadata = dict(_field(stream, size) for _ in range(field_count))
        tensors: dict[str, TensorInfo] = {}
        end = 0
        for _ in range(tensor_count):
            name = _text(stream, size)
            dimensions = [_number(stream, "<Q") for _ in range(_number(stream, "<I"))]
            kind, offset = GGMLQuantizationType(_number(stream, "<I")), _number(stream, "<Q")
            tensors[name] = TensorInfo(dtype=kind.name, shape=tuple(reversed(dimensions)))
            block, block_bytes = GGML_QUANT_SIZES[kind]
            end = max(end, offset + tensors[name].elements // block * block_bytes)
    except struct.error as error:
        raise _cut_off(path, size, None) from error
    alignment = int(metadata.get("general.alignment", 32))
    whole = -(-stream.tell() // alignment) * alignment + end
    if size < whole:
        raise _cut_off(path, size, whole)
    return WeightsHeader(path=path, tensors=tensors, metadata=metadata)


def _number(stream: BinaryIO, form: str) -> Any:
    return struct.unpack(form, stream.read(struct.calcsize(form)))[0]


def _text(stream: BinaryIO, size: int) -> str:
    length = _number(stream, "<Q")
    if length > size:
        raise ValueError("a text is longer than the file")
    return stream.read(length).decode()


def _field(stream: BinaryIO, size: int) -> tuple[str, Any]:
    name = _text(stream, size)
    return name, _value(stream, _number(stream, "<I"), size)


def _value(stream: BinaryIO, kind: int, size: int) -> Any:
    if kind == _STRING:
        return _text(stream, size)
    if kind == _ARRAY:
        inner, count = _number(stream, "<I"), _number(stream, "<Q")
        if count > size:
            raise ValueError("an array is longer than the file")
        if inner in _NUMBERS:
            form = f"<{count}{_NUMBERS[inner][1:]}"
            return list(struct.unpack(form, stream.read(struct.calcsize(form))))
        return [_value(stream, inner, size) for _ in range(count)]
    return _number(stream, _NUMBERS[kind])


def _cut_off(path: Path, size: int, whole: int | None) -> ModelNotFound:
    missing = "" if whole is None else f": {size:,} of {whole:,} bytes are there"
    return ModelNotFound(f"{path} is cut off{missing}; download or copy it again")
