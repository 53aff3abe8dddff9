"""Encoded captions kept on disk, so that the text encoder is not needed for a caption it has read before."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from moc_engine.files import atomic_file, listed
from moc_engine.sources.parts import PartSource

KEPT: Final = 2000
"""Files in a folder of encoded captions; the oldest are removed beyond it. One of 50 tokens has 400 KB."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Encoded:
    """What a text encoder returns."""

    last_hidden_state: Tensor


class CachedTextEncoder:
    """A text encoder that is loaded by `load` when a caption is not among those kept in `folder`.

    `identity` is that of its weights. `used` is called before it runs; `release` gives it up, until it is
    needed again. Called as the text encoders of transformers are.
    """

    def __init__(
        self,
        load: Callable[[], Any],
        device: torch.device,
        *,
        identity: str,
        folder: Path | None = None,
        loaded: Any = None,
    ) -> None:
        self.device = device
        self.used: Callable[[], None] = lambda: None
        self._load = load
        self._identity = identity
        self._folder = folder
        self._encoder = loaded

    @property
    def is_loaded(self) -> bool:
        """Whether the encoder is in memory."""
        return self._encoder is not None

    def eval(self) -> CachedTextEncoder:
        return self

    def release(self) -> None:
        """Frees the encoder's memory."""
        self._encoder = None
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @torch.no_grad()
    def __call__(self, input_ids: Tensor, attention_mask: Tensor) -> Encoded:
        """The states (1, S, E) of the tokens (1, S) of one caption."""
        file = None if self._folder is None else self._folder / f"{self._key(input_ids)}.safetensors"
        states = None if file is None else _read(file)
        if states is None:
            if self._encoder is None:
                self._encoder = self._load()
            self.used()
            found = self._encoder(input_ids.to(self.device), attention_mask.to(self.device))
            states = found.last_hidden_state
            if file is not None:
                _keep(file, states)
        return Encoded(last_hidden_state=states.to(self.device))

    def _key(self, input_ids: Tensor) -> str:
        record = json.dumps([self._identity, input_ids.flatten().tolist()])
        return sha256(record.encode()).hexdigest()[:40]


def part_identity(part: PartSource, *settings: object) -> str:
    """A digest of where a part's files lie, their sizes and times, and of how they are loaded."""
    files = sorted(part.path.iterdir()) if part.path.is_dir() else [part.path]
    stats = [(str(file.absolute()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return sha256(json.dumps([stats, [str(setting) for setting in settings]]).encode()).hexdigest()


def _read(file: Path) -> Tensor | None:
    try:
        return load(file.read_bytes())["states"]
    except (OSError, KeyError, SafetensorError):  # encoded again
        return None


def _keep(file: Path, states: Tensor) -> None:
    """Writes the states; a full or read-only disk costs time later, not the render now."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(file) as part:
            part.write_bytes(save({"states": states.contiguous().cpu()}))
        files = listed(file.parent)
        if len(files) > KEPT:
            oldest = sorted(files, key=lambda kept: kept.stat().st_mtime)
            for kept in oldest[: len(files) - KEPT]:
                kept.unlink(missing_ok=True)
