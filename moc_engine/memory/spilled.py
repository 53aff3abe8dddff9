"""Memories in files, read layer by layer into memory that is there already."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from moc_engine.memory.take_memory import TENSORS, Scales, SmallParts, TakeMemory
from moc_engine.ops.layout import Ints

UNREADABLE: Final = (OSError, SafetensorError)
"""What reading a spilled memory raises where its file is gone or damaged."""

_SCALES: Final = ("k_scales_NHGD", "v_scales_NHGD")


@dataclass(frozen=True, kw_only=True, eq=False)
class FileTensor:
    """Keys or values (N, H, T, D) that begin at byte `at` of a file."""

    file: Path
    at: int
    shape: tuple[int, int, int, int]
    dtype: torch.dtype

    def read_into(self, out_HTD: Tensor, layer: int, start: int, stop: int) -> int:
        """Reads the tokens start:stop of a layer into contiguous memory of the CPU; returns the bytes read.

        Raises `OSError` where the file is gone or ends early.
        """
        _, heads, tokens, width = self.shape
        row = width * self.dtype.itemsize
        rows = out_HTD.view(torch.uint8).view(-1).numpy()
        size = (stop - start) * row
        with self.file.open("rb", buffering=0) as stream:
            if (start, stop) == (0, tokens):  # one piece
                self._read(stream, layer * heads * tokens * row, rows)
            else:
                for head in range(heads):
                    begin = ((layer * heads + head) * tokens + start) * row
                    self._read(stream, begin, rows[head * size : (head + 1) * size])
        return heads * size

    def _read(self, stream: FileIO, begin: int, into: NDArray[np.uint8]) -> None:
        stream.seek(self.at + begin)
        view = memoryview(into.data)
        while view:
            count = stream.readinto(view)
            if not count:
                raise OSError(f"{self.file} ends early")
            view = view[count:]


@dataclass(frozen=True, kw_only=True, eq=False)
class SpilledMemory:
    """A take's memory in a file: keys and values are read as they are needed, the rest is loaded at once."""

    file: Path
    k_NHTD: FileTensor
    v_NHTD: FileTensor
    size: int
    bytes: int
    scale_offsets: Ints | None
    dtype: torch.dtype

    @property
    def is_whole(self) -> bool:
        """Whether the file is there and has its length."""
        try:
            return self.file.stat().st_size == self.size
        except OSError:
            return False

    @property
    def full_bytes(self) -> int:
        """The bytes of the keys and values when they are attended to."""
        return 2 * math.prod(self.k_NHTD.shape) * self.dtype.itemsize

    def load(self, device: torch.device) -> TakeMemory:
        """All of it. Raises `OSError` or `SafetensorError` for a file that is gone or damaged."""
        tensors = load_file(self.file, device=str(device))
        scales = None
        if self.scale_offsets is not None:
            k, v = (tensors.pop(name) for name in _SCALES)
            scales = Scales(k_NHGD=k, v_NHGD=v, offsets=self.scale_offsets, dtype=self.dtype)
        return TakeMemory(**tensors, scales=scales)

    def small_parts(self, device: torch.device) -> SmallParts:
        """What a render holds on its device. Raises as `load`."""
        with safe_open(self.file, framework="pt", device=str(device)) as stream:
            scales = None
            if self.scale_offsets is not None:
                k, v = (stream.get_tensor(name) for name in _SCALES)
                scales = Scales(k_NHGD=k, v_NHGD=v, offsets=self.scale_offsets, dtype=self.dtype)
            means, positions = (stream.get_tensor(name) for name in ("means_NHCD", "positions_3T"))
        return SmallParts(means_NHCD=means, positions_3T=positions, scales=scales)


def spill(memory: TakeMemory, file: Path) -> SpilledMemory:
    """Writes a memory into a file."""
    tensors = {name: getattr(memory, name).contiguous().cpu() for name in TENSORS}
    scales = memory.scales
    if scales is not None:
        both = (scales.k_NHGD, scales.v_NHGD)
        tensors |= {name: x.contiguous().cpu() for name, x in zip(_SCALES, both, strict=True)}
    save_file(tensors, file)
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(length))
    k, v = (
        FileTensor(
            file=file,
            at=8 + length + header[name]["data_offsets"][0],
            shape=tuple(tensors[name].shape),
            dtype=tensors[name].dtype,
        )
        for name in ("k_NHTD", "v_NHTD")
    )
    return SpilledMemory(
        file=file,
        k_NHTD=k,
        v_NHTD=v,
        size=file.stat().st_size,
        bytes=memory.bytes,
        scale_offsets=None if scales is None else scales.offsets,
        dtype=memory.dtype,
    )
