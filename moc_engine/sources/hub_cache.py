"""The hub's cache on this machine, in the layout of the hub's own client; the hub is not asked."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from huggingface_hub import constants, scan_cache_dir, try_to_load_from_cache
from huggingface_hub.file_download import repo_folder_name

from moc_engine.sources.hub_id import HubFile, HubId
from moc_engine.sources.hub_listing import INDEX, RemoteFile

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class CachedRepository:
    """The folder of one repository in the cache, at one commit.

    `blobs` has the files under their digests, and the parts of those that are being received;
    `snapshots/COMMIT` has their names, which link to them; `refs` says which commit a branch meant.
    """

    def __init__(self, repository: HubId) -> None:
        assert repository.revision is not None, "a repository at a commit"
        name = repo_folder_name(repo_id=repository.repo, repo_type="model")
        self.repository = repository
        self.folder = Path(constants.HF_HUB_CACHE) / name
        self.snapshot = self.folder / "snapshots" / repository.revision
        self._locks = Path(constants.HF_HUB_CACHE) / ".locks" / name

    def blob(self, file: RemoteFile) -> Path:
        """Where a whole file lies."""
        return self.folder / "blobs" / file.digest

    def part(self, file: RemoteFile) -> Path:
        """Where the bytes of a file lie that is not whole yet."""
        return self.folder / "blobs" / f"{file.digest}.part"

    def lock(self, file: RemoteFile) -> Path:
        """The file that is locked by the process that receives a file."""
        return self._locks / f"{file.digest}.lock"

    def has(self, file: RemoteFile) -> bool:
        """Whether a file is there as a whole."""
        return self.blob(file).is_file() or (self.snapshot / file.name).is_file()

    def received(self, file: RemoteFile) -> int:
        """The bytes of a file that are there already."""
        if self.has(file):
            return file.size
        part = self.part(file)
        return min(part.stat().st_size, file.size) if part.is_file() else 0

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
        ref.write_text(str(self.repository.revision))


def cached_folder(model: HubId) -> Path | None:
    """The folder of a model in the cache, if all its parts are there."""
    found = try_to_load_from_cache(model.repo, INDEX, revision=model.revision)
    if not isinstance(found, str):
        return None
    folder = Path(found).parent
    return None if missing_parts(folder) else folder


def cached_file(file: HubFile) -> Path | None:
    """One file of a repository in the cache, under its name at the commit that the cache knows."""
    found = try_to_load_from_cache(file.repository.repo, file.name, revision=file.repository.revision)
    return Path(found) if isinstance(found, str) else None


def pinned_file(file: HubFile) -> HubFile:
    """The name of a cached file with its commit; the name as it is where the file is not in the cache."""
    path = cached_file(file)
    return file if path is None else file.at(path.parents[file.name.count("/")].name)


def digest_in_cache(path: Path) -> str | None:
    """The SHA-256 of a large file of the cache, which is the name of what it links to; None for others."""
    if not path.is_symlink():
        return None
    blob = path.readlink()
    return blob.name if blob.parent.name == "blobs" and _SHA256.fullmatch(blob.name) else None


def missing_parts(folder: Path) -> tuple[str, ...]:
    """The parts of a pipeline folder that are not there, or not all of whose weights are."""
    try:
        index = json.loads((folder / INDEX).read_bytes())
        parts = [name for name, value in index.items() if isinstance(value, list) and value and value[0]]
    except (AttributeError, OSError, ValueError):
        return (INDEX,)
    return tuple(name for name in parts if not _is_whole(folder / name))


def _is_whole(part: Path) -> bool:
    files = {file.name for file in part.iterdir()} if part.is_dir() else set()
    for listed in part.glob("*.safetensors.index.json"):
        try:
            names = set(json.loads(listed.read_bytes())["weight_map"].values())
        except (AttributeError, KeyError, OSError, TypeError, ValueError):
            return False
        if not names <= files:
            return False
    config = part / "config.json"
    return bool(files) and (not config.is_file() or any(name.endswith(".safetensors") for name in files))


def cached_models() -> Iterator[tuple[HubId, Path]]:
    """The pipelines in the cache, whole or not: each at its commit, and its folder."""
    for index in sorted(Path(constants.HF_HUB_CACHE).glob(f"models--*/snapshots/*/{INDEX}")):
        yield _repository_of(index.parent), index.parent


def cached_files() -> Iterator[tuple[HubFile, Path]]:
    """The safetensors files in the cache that are no part of a pipeline, LoRAs among them."""
    for snapshot in sorted(Path(constants.HF_HUB_CACHE).glob("models--*/snapshots/*")):
        if (snapshot / INDEX).is_file():
            continue
        for path in sorted(snapshot.rglob("*.safetensors")):
            if path.is_file():
                yield HubFile(_repository_of(snapshot), path.relative_to(snapshot).as_posix()), path


def _repository_of(snapshot: Path) -> HubId:
    repo = snapshot.parents[1].name.removeprefix("models--").replace("--", "/")
    return HubId(repo, snapshot.name)


def remove_cached(model: str) -> int:
    """Deletes a hub model at a commit from the cache; returns the bytes freed."""
    commit = model.rpartition("@")[2]
    deletion = scan_cache_dir().delete_revisions(commit)
    freed: int = deletion.expected_freed_size
    deletion.execute()
    return freed
