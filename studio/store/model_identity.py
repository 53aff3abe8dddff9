"""The identity of a model: its family and a digest of its weights and settings; of a hub model its commit.

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
from moc_engine.errors import ModelNotFound, RenderCancelled
from moc_engine.model_location import hub_commit, is_missing_hub_model, model_parts, part_files
from moc_engine.sources.parts import PipelineParts
from studio.store.file_digests import FileDigests

ANIMATIC: Final = "animatic"
"""The family that reads captions by the words of `moc_engine.vocabulary`."""

READ_AT_ONCE: Final = 64 * 2**20
"""Bytes that are hashed without asking: the embedded model is smaller."""

MODEL_CACHE: Final = Path("cache") / "model-digests.json"
"""Where a studio's folder has the digests of model files."""


def family(model: str | None) -> str | None:
    """The kind of pipeline `model` is, such as "animatic" or "wan"; None for a hub model that is not here.

    `model` is what a project names: a folder, a file, an added model, a hub id, or None for the embedded one.
    Raises `ModelNotFound` for a path to nothing and for parts that are missing, `ModelMismatch` for something
    that is no model.
    """
    parts = _parts(model)
    return None if parts is None else _family(parts)


def _family(parts: PipelineParts) -> str:
    return parts.pipeline_class.removesuffix("Pipeline").lower()


def _parts(model: str | None) -> PipelineParts | None:
    """Where the parts of a model lie; None for a hub model that is not on this machine."""
    try:
        return model_parts(model)
    except ModelNotFound:
        if model is not None and is_missing_hub_model(model):
            return None
        raise


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
        parts = _parts(model)
        unread = [] if parts is None or hub_commit(parts) else self._not_hashed(parts)
        if sum(file.stat().st_size for file in unread) > READ_AT_ONCE:
            return None
        return _last(self.compute(model))

    def compute(self, model: str | None, cancel: CancelToken | None = None) -> Generator[Hashing, None, str]:
        """Reads what has not been read of a model; yields its progress and returns the identity.

        A hub model is identified by its commit, without reading its files; by its name where it is not here.
        Raises as `family` does, and `RenderCancelled`.
        """
        parts = _parts(model)
        if parts is None or (commit := hub_commit(parts)) is not None:
            return str(model) if parts is None else str(commit)
        missing = self._not_hashed(parts)
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
        return f"{_family(parts)}@{self._together(parts, digests)}"

    def _together(self, parts: PipelineParts, computed: dict[Path, str]) -> str:
        """One digest of all files, by their names within the model."""
        whole = hashlib.sha256()
        for name, file in part_files(parts):
            digest = computed.get(file) or self._digests.get(file) or _last(self._digests.compute(file))
            whole.update(f"{name}\0{digest}\n".encode())
        return whole.hexdigest()[:16]

    def _not_hashed(self, parts: PipelineParts) -> list[Path]:
        return [file for _, file in part_files(parts) if self._digests.get(file) is None]


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
