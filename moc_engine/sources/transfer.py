"""Receives one file of the hub, from where an earlier transfer ended, and compares it with the hub's digest.

The hub's client begins a file again that was interrupted; here its part stays in the cache and is continued.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlparse

import httpx2
from filelock import Timeout
from huggingface_hub import hf_hub_url
from huggingface_hub.file_download import get_hf_file_metadata
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status  # type: ignore[attr-defined]
from huggingface_hub.utils._fixes import WeakFileLock

from moc_engine.errors import HubUnreachable, RenderCancelled
from moc_engine.sources.hub import TIMEOUT
from moc_engine.sources.hub_cache import CachedRepository
from moc_engine.sources.hub_listing import RemoteFile

if TYPE_CHECKING:
    from moc_engine.contract import CancelToken

SILENCE: Final = 20.0
"""Seconds without a byte after which a connection is opened again."""

ATTEMPTS: Final = 4
"""Connections in a row that give nothing, after which a transfer ends."""

_LOOK_EVERY: Final = 0.5
"""Seconds between two looks at the cancel token while another process receives the same file."""

_BLOCK: Final = 4 * 2**20

_MOST_OF_SMALL: Final = 2**20

_SHA1_DIGITS: Final = 40


def receive(
    cache: CachedRepository,
    file: RemoteFile,
    report: Callable[[int], None],
    cancel: CancelToken | None,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Receives what is missing of a file into the cache. `report` is told the bytes that are there.

    `pause` waits so many seconds after connections that gave nothing.

    Raises `HubUnreachable` for a file that does not arrive as the hub lists it, `RenderCancelled`, and the
    errors of the network. What was received stays.
    """
    blob, part, lock = cache.blob(file), cache.part(file), cache.lock(file)
    blob.parent.mkdir(parents=True, exist_ok=True)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with _locked(lock, cancel):
        if cache.has(file):
            return
        repository = cache.repository
        url = hf_hub_url(repository.repo, file.name, revision=repository.revision)
        headers = build_hf_headers()
        found = get_hf_file_metadata(url, timeout=TIMEOUT, headers=headers)
        if urlparse(found.location).netloc != urlparse(url).netloc:
            headers.pop("authorization", None)  # not for the servers of others
        digest = _Transfer(found.location, headers, part, file, report, cancel).run(pause)
        if digest != file.digest:
            part.unlink()
            raise _damaged(cache, file)
        part.replace(blob)


@contextmanager
def _locked(lock: Path, cancel: CancelToken | None) -> Iterator[None]:
    """Waits until no other process receives the file, and keeps others waiting. Raises `RenderCancelled`."""
    with ExitStack() as held:
        while True:
            _stop_if_cancelled(cancel)
            try:
                held.enter_context(WeakFileLock(lock, timeout=_LOOK_EVERY))
                break
            except Timeout:
                continue
        yield


def _stop_if_cancelled(cancel: CancelToken | None) -> None:
    if cancel is not None and cancel.is_set():
        raise RenderCancelled("the download was cancelled")


def read_small(cache: CachedRepository, file: RemoteFile) -> bytes:
    """The content of a small file, from the cache or the hub; it is not kept. Raises as `receive`."""
    for there in (cache.blob(file), cache.snapshot / file.name):
        if there.is_file():
            return there.read_bytes()
    repository = cache.repository
    if file.size > _MOST_OF_SMALL:
        raise HubUnreachable(f"the file {file.name} of {repository.repo} is larger than such files are")
    url = hf_hub_url(repository.repo, file.name, revision=repository.revision)
    response = get_session().get(url, headers=build_hf_headers(), timeout=TIMEOUT, follow_redirects=True)
    hf_raise_for_status(response)
    digest = _new_digest(file)
    digest.update(response.content)
    if digest.hexdigest() != file.digest:
        raise _damaged(cache, file)
    return bytes(response.content)


def _damaged(cache: CachedRepository, file: RemoteFile) -> HubUnreachable:
    return HubUnreachable(
        f"the file {file.name} of {cache.repository.repo} arrived damaged; download it again"
    )


def _new_digest(file: RemoteFile) -> Any:
    """What computes the digest of a file: SHA-256, or the SHA-1 of git, which begins with the size."""
    if len(file.digest) == _SHA1_DIGITS:
        return hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    return hashlib.sha256()


class _Transfer:
    """Receives what is missing of one file. A connection that breaks is opened again where it ended."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        part: Path,
        file: RemoteFile,
        report: Callable[[int], None],
        cancel: CancelToken | None,
    ) -> None:
        self._url, self._headers, self._part, self._file = url, headers, part, file
        self._report, self._cancel = report, cancel
        self._digest = _new_digest(file)
        self._done = 0
        with part.open("ab+") as there:
            there.seek(0)
            while block := there.read(_BLOCK):
                self._received(block)
                _stop_if_cancelled(self._cancel)

    def run(self, pause: Callable[[float], None]) -> str:
        """The digest of the whole file. Raises `RenderCancelled`, and the errors of the network."""
        failures = 0
        while self._done < self._file.size:
            _stop_if_cancelled(self._cancel)
            before = self._done
            ended: Exception = HubUnreachable(
                f"the hub gives no more than {self._done:,} of the {self._file.size:,} bytes of a file; "
                "what was received stays: try again"
            )
            try:
                self._continue()
            except httpx2.TransportError as error:
                ended = error
            if self._done >= self._file.size:
                break
            failures = 0 if self._done > before else failures + 1
            if failures == ATTEMPTS:
                raise ended
            if failures:
                pause(failures)
        return str(self._digest.hexdigest())

    def _continue(self) -> None:
        wanted = {**self._headers, "accept-encoding": "identity"}
        if self._done:
            wanted["range"] = f"bytes={self._done}-"
        with get_session().stream(
            "GET", self._url, headers=wanted, timeout=SILENCE, follow_redirects=True
        ) as response:
            hf_raise_for_status(response)
            goes_on = response.status_code == 206
            if self._done and not goes_on:  # the server gives whole files alone
                self._digest, self._done = _new_digest(self._file), 0
            with self._part.open("ab" if goes_on else "wb") as stream:
                for block in response.iter_bytes():
                    _stop_if_cancelled(self._cancel)
                    stream.write(block)
                    self._received(block)
                    self._report(self._done)
                    if self._done > self._file.size:  # more than is listed, perhaps without an end
                        return

    def _received(self, block: bytes) -> None:
        self._digest.update(block)
        self._done += len(block)
