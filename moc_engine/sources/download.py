"""Downloads a model or one file from the hub into its cache, with progress in bytes; a download goes on.

    name ─► files at a commit, with sizes ─► enough room? ─► one after the other ─► its folder or file

The cache is that of the hub's own client, in its layout: other programs find what was downloaded here, and
the other way round.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moc_engine.disk_errors import is_disk_full
from moc_engine.errors import DiskFull, ModelMismatch, ModelNotFound
from moc_engine.sources.hub import hub_errors_in_words
from moc_engine.sources.hub_cache import CachedRepository, cached_folder
from moc_engine.sources.hub_id import HubFile, HubId, parse_hub_id
from moc_engine.sources.hub_listing import (
    INDEX,
    RemoteFile,
    RemoteRepository,
    list_repository,
    wanted_files,
)
from moc_engine.sources.transfer import read_small, receive

if TYPE_CHECKING:
    from moc_engine.contract import CancelToken

SPARE: Final = 2**30
"""Bytes of the disk that stay free."""

FreeBytes = Callable[[Path], int]


@dataclass(frozen=True, kw_only=True)
class DownloadProgress:
    """Bytes that are there, of all; the file that is being received."""

    done: int
    total: int
    file: str


@dataclass(frozen=True, kw_only=True)
class Downloaded:
    """What is in the cache: its name with the commit, and the folder of a model, or the file."""

    id: HubId | HubFile
    path: Path


@dataclass(frozen=True, kw_only=True)
class DownloadPlan:
    """What a download would receive, before it begins.

    `id` is the name with the commit, `size` the bytes of all its files, `missing` of those not received yet,
    `free` of the disk that has the cache.
    """

    id: HubId | HubFile
    licence: str | None
    size: int
    missing: int
    free: int

    @property
    def fits(self) -> bool:
        """Whether the disk has room for what is missing."""
        return self.missing == 0 or self.missing + SPARE <= self.free


def plan_download(asked: HubId | HubFile, free: FreeBytes | None = None) -> DownloadPlan:
    """What a download would receive. Raises as `list_repository`."""
    repository = list_repository(asked)
    cache = CachedRepository(repository.id)
    return _plan(asked, repository, cache, _files(asked, repository, cache), free or free_bytes)


def download(
    asked: HubId | HubFile,
    report: Callable[[DownloadProgress], None] = lambda progress: None,
    cancel: CancelToken | None = None,
    free: FreeBytes | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> Downloaded:
    """Downloads what is not in the cache of a model or file, at the commit that its revision names now.

    Raises as `list_repository`, `DiskFull` before anything large is received, and `RenderCancelled`; what was
    received stays for the next time. `pause` as in `receive`.
    """
    repository = list_repository(asked)
    cache = CachedRepository(repository.id)
    files = _files(asked, repository, cache)
    plan = _plan(asked, repository, cache, files, free or free_bytes)
    if not plan.fits:
        raise DiskFull(
            f"{asked} needs {plan.missing / 1e9:.1f} GB more on the disk, but {plan.free / 1e9:.1f} GB are "
            f"free at {_existing(cache.folder)}; free some, or set HF_HOME to a folder on another disk"
        )
    before = 0
    with hub_errors_in_words(asked), _disk_errors_in_words(asked):
        for file in files:

            def received(done: int, file: RemoteFile = file, before: int = before) -> None:
                report(DownloadProgress(done=before + done, total=plan.size, file=file.name))

            receive(cache, file, received, cancel, pause)
            cache.link(file)
            before += file.size
            report(DownloadProgress(done=before, total=plan.size, file=file.name))
    revision = (asked.repository if isinstance(asked, HubFile) else asked).revision
    if revision != repository.id.revision:
        cache.remember(revision or "main")
    path = cache.snapshot / asked.name if isinstance(asked, HubFile) else cache.snapshot
    return Downloaded(id=plan.id, path=path)


def _files(
    asked: HubId | HubFile, repository: RemoteRepository, cache: CachedRepository
) -> tuple[RemoteFile, ...]:
    """The files that are asked for; which those of a model are is told by its index."""
    if isinstance(asked, HubFile):
        return tuple(file for file in repository.files if file.name == asked.name)
    index = repository.file(INDEX)
    assert index is not None, "list_repository refuses others"
    with hub_errors_in_words(asked):
        content = read_small(cache, index)
    try:
        return wanted_files(repository.files, dict(json.loads(content)))
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelMismatch(f"the {INDEX} of {repository.id} is no model's index") from error


def _plan(
    asked: HubId | HubFile,
    repository: RemoteRepository,
    cache: CachedRepository,
    files: tuple[RemoteFile, ...],
    free: FreeBytes,
) -> DownloadPlan:
    assert repository.id.revision is not None, "a repository at a commit"
    size = sum(file.size for file in files)
    return DownloadPlan(
        id=asked.at(repository.id.revision),
        licence=repository.licence,
        size=size,
        missing=size - sum(cache.received(file) for file in files),
        free=free(_existing(cache.folder)),
    )


def find_on_hub(model: str) -> Path:
    """The folder of a hub model in the cache, to which it is downloaded unless it is there.

    Raises as `download`.
    """
    named = parse_hub_id(model)
    if named is None:
        raise ModelNotFound(f"there is no folder {model}, and it is no name of a model on the hub")
    return cached_folder(named) or download(named).path


@contextmanager
def _disk_errors_in_words(asked: HubId | HubFile) -> Iterator[None]:
    """Turns a disk that becomes full while files are received into `DiskFull`."""
    try:
        yield
    except OSError as error:
        if not is_disk_full(error):
            raise
        raise DiskFull(
            f"the disk became full while {asked} was received; what was received stays: free some room and "
            "download it again"
        ) from error


def _existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(place for place in (folder, *folder.parents) if place.is_dir())


def free_bytes(folder: Path) -> int:
    """The free bytes of the disk of a folder."""
    return shutil.disk_usage(folder).free
