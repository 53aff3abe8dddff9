"""The identity of a model: its family and a digest of all its weights and settings.

A take that was made with a model of another identity is outdated. Reading gigabytes takes minutes, so digests
are cached per file, and `ModelIdentities.known` answers from the cache alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from moc_engine.contract import CancelToken
from moc_engine.errors import RenderCancelled
from moc_engine.model_index import EMBEDDED, read_model_index
from studio.store.file_digests import FileDigests

ANIMATIC: Final = "animatic"
"""The family that reads captions by the words of `moc_engine.vocabulary`."""

READ_AT_ONCE: Final = 64 * 2**20
"""Bytes that are hashed without asking: the embedded model is smaller."""

SUFFIXES: Final = frozenset({".json", ".safetensors", ".txt", ".model"})
"""The files of a model folder that decide what it renders."""

MODEL_CACHE: Final = Path("cache") / "model-digests.json"
"""Where a studio's folder has the digests of model files."""


def family(model: str | None) -> str | None:
    """The kind of pipeline `model` is, such as "animatic" or "wan"; None for a hub id, which does not tell.

    `model` is a folder, a hub id, or None for the embedded model. Raises `ModelNotFound` for a path to
    nothing, `ModelMismatch` for a path to something else than a pipeline folder.
    """
    index = read_model_index(EMBEDDED if model is None else model)
    return None if index is None else str(index["_class_name"]).removesuffix("Pipeline").lower()


def model_folder(model: str | None) -> Path:
    """The folder that `model` names, if it names one."""
    return EMBEDDED if model is None else Path(model)


def model_files(folder: Path) -> list[Path]:
    """The files of a model that decide what it renders."""
    return [file for file in sorted(folder.rglob("*")) if file.suffix in SUFFIXES and file.is_file()]


@dataclass(frozen=True, kw_only=True)
class Hashing:
    """How much of a model has been read, in bytes."""

    done: int
    total: int


class ModelIdentities:
    """Identities of models, with the digests of their files cached in `cache`, or in memory if None."""

    def __init__(self, cache: Path | None = None) -> None:
        self._digests = FileDigests(cache)

    def known(self, model: str | None) -> str | None:
        """The identity of a model if little has to be read for it, else None. Raises as `family` does."""
        missing = self._not_hashed(model)
        if sum(file.stat().st_size for file in missing) > READ_AT_ONCE:
            return None
        return _last(self.compute(model))

    def compute(self, model: str | None, cancel: CancelToken | None = None) -> Generator[Hashing, None, str]:
        """Reads what has not been read of a model; yields its progress and returns the identity.

        A hub id stands for itself. Raises as `family` does, and `RenderCancelled`.
        """
        kind, folder = family(model), model_folder(model)
        if not folder.is_dir():
            return model or ANIMATIC
        missing = self._not_hashed(model)
        total, done = sum(file.stat().st_size for file in missing), 0
        digests: dict[Path, str] = {}
        try:
            for file in missing:
                reading = self._digests.compute(file)
                while True:
                    try:
                        done += next(reading)
                    except StopIteration as stop:
                        digests[file] = stop.value
                        break
                    yield Hashing(done=done, total=total)
                    if cancel is not None and cancel.is_set():
                        raise RenderCancelled("the render was cancelled")
        finally:
            if total > READ_AT_ONCE:
                self._digests.save()
        return f"{kind}@{self._together(folder, digests)}"

    def _together(self, folder: Path, computed: dict[Path, str]) -> str:
        """One digest of all files, by their names within the folder."""
        whole = hashlib.sha256()
        for file in model_files(folder):
            digest = computed.get(file) or self._digests.get(file) or _last(self._digests.compute(file))
            whole.update(f"{file.relative_to(folder).as_posix()}\0{digest}\n".encode())
        return whole.hexdigest()[:16]

    def _not_hashed(self, model: str | None) -> list[Path]:
        folder = model_folder(model)
        if family(model) is None or not folder.is_dir():
            return []
        return [file for file in model_files(folder) if self._digests.get(file) is None]


def identify(model: str | None) -> str:
    """The identity of a model, read from its files now. Raises as `family` does."""
    return _last(ModelIdentities().compute(model))


def _last(steps: Generator[object, None, str]) -> str:
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: str = stop.value
            return result
