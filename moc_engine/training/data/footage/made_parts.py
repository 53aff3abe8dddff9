"""Tensors made one by one for stories that are not whole yet, each in a file, so that none is made twice."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from moc_engine.files import atomic_file, remove_abandoned

_SUFFIX = ".part"
_DIGEST = 32


class MadeParts:
    """Tensors in a folder by their keys; what is damaged counts as missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        remove_abandoned(folder)

    def __contains__(self, key: str) -> bool:
        return self._file(key).is_file()

    def read(self, key: str) -> Tensor | None:
        try:
            data = self._file(key).read_bytes()
            if hashlib.sha256(data[_DIGEST:]).digest() != data[:_DIGEST]:
                return None
            return load(data[_DIGEST:])["made"]
        except (OSError, KeyError, SafetensorError):
            return None

    def write(self, key: str, made: Tensor) -> None:
        """Raises `OSError` where there is no room."""
        data = save({"made": made.detach().cpu().contiguous()})
        with atomic_file(self._file(key)) as part:
            part.write_bytes(hashlib.sha256(data).digest() + data)

    def remove(self, key: str) -> None:
        self._file(key).unlink(missing_ok=True)

    def clear(self) -> None:
        """Removes all of them, and their folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"
