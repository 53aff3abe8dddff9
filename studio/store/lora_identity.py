"""The identities of LoRAs: digests of their files, as far as these have been read."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from pathlib import Path

from moc_engine.contract import CancelToken
from moc_engine.errors import RenderCancelled
from moc_engine.sources.lora_source import known_digest, local_file
from studio.store.file_digests import FileDigests
from studio.store.model_identity import READ_AT_ONCE, Hashing


class LoraIdentities:
    """Identities of LoRAs, with the digests of their files cached in `cache`, or in memory if None.

    What is no file of this machine, such as a name on the hub that was not downloaded, stands for itself.
    """

    def __init__(self, cache: Path | None = None) -> None:
        self._digests = FileDigests(cache)

    def known(self, files: Iterable[str]) -> dict[str, str]:
        """The identity of each LoRA; where much was not read yet, that stands for itself."""
        names = tuple(dict.fromkeys(files))
        unread = self._unread(names)
        if sum(path.stat().st_size for path in unread.values()) <= READ_AT_ONCE:
            unread = {}
        return {name: name if name in unread else self._known(name) for name in names}

    def compute(
        self, files: Iterable[str], cancel: CancelToken | None = None
    ) -> Generator[Hashing, None, dict[str, str]]:
        """Reads what has not been read; yields its progress and returns the identities.

        Raises `RenderCancelled`.
        """
        names = tuple(files)
        unread = self._unread(names)
        paths = tuple(dict.fromkeys(unread.values()))
        total = sum(path.stat().st_size for path in paths)
        digests: dict[Path, str] = {}
        done = 0
        for path in paths:
            reading = self._digests.compute(path)
            while True:
                if cancel is not None and cancel.is_set():
                    raise RenderCancelled("the render was cancelled")
                try:
                    done += next(reading)
                except StopIteration as stop:
                    digests[path] = stop.value[:16]
                    break
                yield Hashing(done=done, total=total)
        if unread:  # `known` of another process may find too much unread
            self._digests.save()
        read = {name: digests[path] for name, path in unread.items()}
        return {name: read.get(name) or self._known(name) for name in names}

    def _unread(self, names: Iterable[str]) -> dict[str, Path]:
        """The files that were not read yet, by the names that mean them."""
        found = {}
        for name in names:
            path = local_file(name)
            try:
                if path is not None and known_digest(path) is None and self._digests.get(path) is None:
                    found[name] = path
            except OSError:  # in a closed folder
                continue
        return found

    def _known(self, name: str) -> str:
        path = local_file(name)
        if path is None:
            return name
        try:
            digest = known_digest(path) or self._digests.get(path) or _read(self._digests.compute(path))
        except OSError:
            return name
        return digest[:16]


def _read(blocks: Generator[int, None, str]) -> str:
    while True:
        try:
            next(blocks)
        except StopIteration as stop:
            digest: str = stop.value
            return digest
