"""Downloads a model from the hub into its cache, with progress in bytes; what was interrupted goes on.

    model at a commit ─► files that are read, with sizes ─► enough room? ─► one after the other ─► its folder

The cache is that of the hub's own client, in its layout: other programs find what was downloaded here, and
the other way round. That client begins a file again that was interrupted; here its part stays in the cache
and is continued, and what was received is compared with the hub's SHA-256 at the end.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlparse

import httpx2
from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.file_download import get_hf_file_metadata, repo_folder_name
from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status  # type: ignore[attr-defined]
from huggingface_hub.utils._fixes import WeakFileLock

from moc_engine.errors import DiskFull, HubUnreachable, ModelMismatch, ModelNotFound, RenderCancelled
from moc_engine.sources.hub import INDEX, TIMEOUT, cached_folder, check_reachable, hub_errors_in_words
from moc_engine.sources.hub_id import HubId, parse_hub_id

if TYPE_CHECKING:
    from moc_engine.contract import CancelToken

FILES: Final = ("*.json", "*.safetensors", "*.gguf", "*.txt", "*.model", "README.md", "LICENSE*")
"""The files of a model that are downloaded: weights, settings, words. Pickles and code never are."""

SPARE: Final = 2**30
"""Bytes of the disk that stay free."""

_VARIANT: Final = re.compile(r"\.(fp16|bf16|fp8|int8|non_ema)(?=[.-])")
"""What tells copies of the same weights apart, in another precision."""

_DIGEST: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

SILENCE: Final = 20.0
"""Seconds without a byte after which a connection is opened again."""

ATTEMPTS: Final = 4
"""Connections in a row that give nothing, after which a download ends."""

_BLOCK: Final = 4 * 2**20

FreeBytes = Callable[[Path], int]


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file of the hub; `digest` names it in the cache: SHA-256 of large files, git's SHA-1 of others."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class RemoteModel:
    """A model of the hub at a commit: the files that are read, and the licence that it states."""

    id: HubId
    files: tuple[RemoteFile, ...]
    licence: str | None

    @property
    def size(self) -> int:
        """The bytes of the files that may be read, wherever in the repository they lie."""
        return sum(file.size for file in self.files if _is_read(file.name))


@dataclass(frozen=True, kw_only=True)
class DownloadProgress:
    """Bytes that are there, of all; the file that is being received."""

    done: int
    total: int
    file: str


@dataclass(frozen=True, kw_only=True)
class Downloaded:
    """A model in the cache: its name with the commit, and its folder."""

    id: HubId
    folder: Path


def remote_model(model: HubId) -> RemoteModel:
    """What the hub has of a model.

    Raises `HubUnreachable`, `ModelNotFound` for one that is not there or may not be read, `ModelMismatch` for
    one that is no pipeline.
    """
    check_reachable(f"the model {model}", f"moc-studio models add {model}" if "/" in model.repo else "")
    with _network_errors_in_words(model), hub_errors_in_words(model):
        info = HfApi().model_info(model.repo, revision=model.revision, files_metadata=True, timeout=TIMEOUT)
    assert info.sha is not None
    card = info.card_data
    listed = (
        RemoteFile(
            name=file.rfilename,
            size=file.size or 0,
            digest=file.lfs.sha256 if file.lfs is not None else str(file.blob_id),
        )
        for file in info.siblings or ()
    )
    files = tuple(filter(is_plain, listed))
    if _DIGEST.fullmatch(info.sha) is None:
        raise HubUnreachable(f"the hub names no commit of {model}")
    if INDEX not in {file.name for file in files}:
        raise ModelMismatch(
            f"{model} is on the hub, but has no {INDEX}: it is no pipeline; download its files and add them "
            "by moc-studio models add NAME --transformer FILE"
        )
    return RemoteModel(id=model.at(info.sha), files=files, licence=None if card is None else card.license)


def is_plain(file: RemoteFile) -> bool:
    """Whether a file's name stays within the folder that it is put into, and its digest is one: others are
    never written.
    """
    parts = file.name.split("/")
    return (
        not {"", ".", ".."} & {*parts}
        and not re.search(r"[\\:\x00-\x1f]", file.name)
        and (_DIGEST.fullmatch(file.digest) is not None)
    )


def download(
    model: HubId,
    report: Callable[[DownloadProgress], None] = lambda progress: None,
    cancel: CancelToken | None = None,
    free: FreeBytes | None = None,
) -> Downloaded:
    """Downloads what is not in the cache of a model, at the commit that its revision names now.

    Raises as `remote_model`, `DiskFull` before anything is received, and `RenderCancelled`; what was received
    stays for the next time.
    """
    remote = remote_model(model)
    cache = _Cache(remote.id)
    with _network_errors_in_words(model), hub_errors_in_words(model):
        index = next(file for file in remote.files if file.name == INDEX)
        cache.receive(index, lambda done: None, cancel)
        wanted = wanted_files(remote.files, json.loads(cache.link(index).read_bytes()))
        total = sum(file.size for file in wanted)
        missing = total - sum(cache.received(file) for file in wanted)
        _check_room(cache.folder, missing, model, free or free_bytes)
        before = 0
        for file in wanted:

            def received(done: int, file: RemoteFile = file, before: int = before) -> None:
                report(DownloadProgress(done=before + done, total=total, file=file.name))

            cache.receive(file, received, cancel)
            cache.link(file)
            before += file.size
            report(DownloadProgress(done=before, total=total, file=file.name))
    if model.revision != remote.id.revision:
        cache.remember(model.revision or "main")
    return Downloaded(id=remote.id, folder=cache.snapshot)


def find_on_hub(model: str) -> Path:
    """The folder of a hub model in the cache, to which it is downloaded unless it is there.

    Raises as `download`.
    """
    named = parse_hub_id(model)
    if named is None:
        raise ModelNotFound(f"there is no folder {model}, and it is no name of a model on the hub")
    return cached_folder(named) or download(named).folder


def wanted_files(files: Sequence[RemoteFile], index: dict[str, Any]) -> tuple[RemoteFile, ...]:
    """The files that the parts of a pipeline are loaded from, small ones first.

    Weights in further precisions are left out where the part has weights without that mark.
    """
    parts = {name for name, value in index.items() if isinstance(value, list) and value and value[0]}
    names = {file.name for file in files}

    def is_wanted(file: RemoteFile) -> bool:
        folder, _, name = file.name.rpartition("/")
        if not _is_read(name):
            return False
        if folder and folder not in parts:
            return False
        if not folder:
            return not name.endswith((".safetensors", ".gguf"))
        plain = _VARIANT.sub("", name)
        return plain == name or f"{folder}/{plain}" not in names

    return tuple(sorted(filter(is_wanted, files), key=lambda file: (file.size > _BLOCK, file.name)))


def _is_read(name: str) -> bool:
    return any(fnmatch(name.rpartition("/")[2], pattern) for pattern in FILES)


def free_bytes_of_cache() -> int:
    """The free bytes of the disk that has the hub's cache."""
    folder = Path(constants.HF_HUB_CACHE)
    return free_bytes(next(place for place in (folder, *folder.parents) if place.is_dir()))


def _check_room(folder: Path, needed: int, model: HubId, free: FreeBytes) -> None:
    there = next(place for place in (folder, *folder.parents) if place.is_dir())
    room = free(there)
    if needed > 0 and needed + SPARE > room:
        raise DiskFull(
            f"the model {model} needs {needed / 1e9:.1f} GB more on the disk, but {room / 1e9:.1f} GB are "
            f"free at {there}; free some, or set HF_HOME to a folder on another disk"
        )


class _Cache:
    """The folder of one repository in the hub's cache, at one commit."""

    def __init__(self, model: HubId) -> None:
        assert model.revision is not None, "a model at a commit"
        self._model = model
        name = repo_folder_name(repo_id=model.repo, repo_type="model")
        self.folder = Path(constants.HF_HUB_CACHE) / name
        self.snapshot = self.folder / "snapshots" / model.revision
        self._locks = Path(constants.HF_HUB_CACHE) / ".locks" / name

    def blob(self, file: RemoteFile) -> Path:
        return self.folder / "blobs" / file.digest

    def received(self, file: RemoteFile) -> int:
        """The bytes of a file that are there already."""
        for path in (self.blob(file), self._part(file), self.snapshot / file.name):
            if path.is_file():
                return path.stat().st_size
        return 0

    def _part(self, file: RemoteFile) -> Path:
        return self.folder / "blobs" / f"{file.digest}.part"

    def receive(self, file: RemoteFile, report: Callable[[int], None], cancel: CancelToken | None) -> None:
        """Receives what is missing of a file."""
        blob, part = self.blob(file), self._part(file)
        blob.parent.mkdir(parents=True, exist_ok=True)
        self._locks.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(self._locks / f"{file.digest}.lock"):
            if blob.is_file() or (self.snapshot / file.name).is_file():
                return
            url = hf_hub_url(self._model.repo, file.name, revision=self._model.revision)
            headers = build_hf_headers()
            found = get_hf_file_metadata(url, timeout=TIMEOUT, headers=headers)
            if urlparse(found.location).netloc != urlparse(url).netloc:
                headers.pop("authorization", None)  # not for the servers of others
            digest = _Transfer(found.location, headers, part, file.size, report, cancel).run()
            wrong = len(file.digest) == 64 and digest != file.digest
            if wrong or part.stat().st_size != file.size:
                part.unlink()
                raise HubUnreachable(
                    f"the file {file.name} of {self._model.repo} arrived damaged; download it again"
                )
            part.replace(blob)

    def link(self, file: RemoteFile) -> Path:
        """The file under its name at the commit, which links to what was received."""
        pointer = self.snapshot / file.name
        if not pointer.is_file():
            pointer.parent.mkdir(parents=True, exist_ok=True)
            pointer.unlink(missing_ok=True)
            try:
                pointer.symlink_to(os.path.relpath(self.blob(file), pointer.parent))
            except OSError:  # Windows without the right to make links
                self.blob(file).replace(pointer)
        return pointer

    def remember(self, revision: str) -> None:
        """Notes which commit a branch or tag means, for use offline."""
        ref = self.folder / "refs" / revision
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(str(self._model.revision))


class _Transfer:
    """Receives what is missing of one file. A connection that breaks is opened again where it ended."""

    def __init__(
        self,
        url: str,
        headers: Mapping[str, str],
        part: Path,
        size: int,
        report: Callable[[int], None],
        cancel: CancelToken | None,
    ) -> None:
        self._url, self._headers, self._part, self._size = url, headers, part, size
        self._report, self._cancel = report, cancel
        self._hash = hashlib.sha256()
        self._done = 0
        with part.open("ab+") as there:
            there.seek(0)
            while block := there.read(_BLOCK):
                self._received(block)

    def run(self) -> str:
        """The SHA-256 of the whole file. Raises `RenderCancelled`, and the errors of the network."""
        failures = 0
        while self._done < self._size:
            self._stop_if_cancelled()
            before = self._done
            ended: Exception = HubUnreachable(
                f"the hub gives no more than {self._done:,} of the {self._size:,} bytes of a file; "
                "what was received stays: try again"
            )
            try:
                self._continue()
            except httpx2.TransportError as error:
                ended = error
            if self._done >= self._size:
                break
            failures = 0 if self._done > before else failures + 1
            if failures == ATTEMPTS:
                raise ended
            time.sleep(failures)
        return self._hash.hexdigest()

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
                self._hash, self._done = hashlib.sha256(), 0
            with self._part.open("ab" if goes_on else "wb") as stream:
                for block in response.iter_bytes():
                    self._stop_if_cancelled()
                    stream.write(block)
                    self._received(block)
                    self._report(self._done)

    def _stop_if_cancelled(self) -> None:
        if self._cancel is not None and self._cancel.is_set():
            raise RenderCancelled("the download was cancelled")

    def _received(self, block: bytes) -> None:
        self._hash.update(block)
        self._done += len(block)


@contextmanager
def _network_errors_in_words(model: HubId) -> Iterator[None]:
    """Turns errors of the network into `HubUnreachable`."""
    try:
        yield
    except (httpx2.HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise HubUnreachable(
            f"the transfer of {model} was interrupted ({error}); what was received stays: try again"
        ) from error


def free_bytes(folder: Path) -> int:
    """The free bytes of the disk of a folder."""
    return shutil.disk_usage(folder).free
