"""What the hub has: the files of a repository at a commit, and which of them are downloaded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any, Final

from huggingface_hub import HfApi

from moc_engine.errors import HubUnreachable, ModelMismatch, ModelNotFound
from moc_engine.sources.hub import TIMEOUT, check_reachable, hub_errors_in_words
from moc_engine.sources.hub_id import HubFile, HubId

INDEX: Final = "model_index.json"

FILES: Final = ("*.json", "*.safetensors", "*.gguf", "*.txt", "*.model", "README.md", "LICENSE*")
"""The files of a model that are downloaded: weights, settings, words. Pickles and code never are."""

_VARIANT: Final = re.compile(r"\.(fp16|bf16|fp8|int8|non_ema)(?=[.-])")
"""What tells copies of the same weights apart, in another precision."""

_DIGEST: Final = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")

_SMALL: Final = 4 * 2**20
"""Bytes of a file up to which it is received before the large ones."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file of the hub; `digest` names it in the cache: SHA-256 of large files, git's SHA-1 of others."""

    name: str
    size: int
    digest: str


@dataclass(frozen=True, kw_only=True)
class RemoteRepository:
    """A repository of the hub at a commit: its files, and the licence that it states."""

    id: HubId
    files: tuple[RemoteFile, ...]
    licence: str | None

    def file(self, name: str) -> RemoteFile | None:
        """The file of that name; None where there is none."""
        return next((file for file in self.files if file.name == name), None)


def list_repository(asked: HubId | HubFile) -> RemoteRepository:
    """What the hub has of a model, or of the repository of a file, at the commit that the revision names now.

    Raises `HubUnreachable`, `ModelNotFound` for what is not there or may not be read, `ModelMismatch` for a
    repository that is asked for as a model and is no pipeline.
    """
    repository = asked.repository if isinstance(asked, HubFile) else asked
    what = "the LoRA" if isinstance(asked, HubFile) else "the model"
    check_reachable(f"{what} {asked}", f"moc-studio models add {asked}" if "/" in repository.repo else "")
    with hub_errors_in_words(asked):
        info = HfApi().model_info(
            repository.repo, revision=repository.revision, files_metadata=True, timeout=TIMEOUT
        )
    if info.sha is None or _DIGEST.fullmatch(info.sha) is None:
        raise HubUnreachable(f"the hub names no commit of {repository}")
    listed = (
        RemoteFile(
            name=file.rfilename,
            size=file.size or 0,
            digest=file.lfs.sha256 if file.lfs is not None else str(file.blob_id),
        )
        for file in info.siblings or ()
    )
    card = info.card_data
    found = RemoteRepository(
        id=repository.at(info.sha),
        files=tuple(filter(is_plain, listed)),
        licence=None if card is None else card.license,
    )
    if isinstance(asked, HubFile):
        if found.file(asked.name) is None:
            raise ModelNotFound(f"the repository {found.id} has no file {asked.name}")
    elif found.file(INDEX) is None:
        raise ModelMismatch(
            f"{repository} is on the hub, but has no {INDEX}: it is no pipeline; download its files and add "
            "them by moc-studio models add NAME --transformer FILE, or name a LoRA of it as "
            f"{repository.repo}/FILE.safetensors"
        )
    return found


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


def wanted_files(files: Sequence[RemoteFile], index: dict[str, Any]) -> tuple[RemoteFile, ...]:
    """The files that the parts of a pipeline are loaded from, small ones first.

    Weights in further precisions are left out where the part has weights without that mark.
    """
    parts = {name for name, value in index.items() if isinstance(value, list) and value and value[0]}
    names = {file.name for file in files}

    def is_wanted(file: RemoteFile) -> bool:
        folder, _, name = file.name.rpartition("/")
        if not any(fnmatch(name, pattern) for pattern in FILES):
            return False
        if folder and folder not in parts:
            return False
        if not folder:
            return not name.endswith((".safetensors", ".gguf"))
        plain = _VARIANT.sub("", name)
        return plain == name or f"{folder}/{plain}" not in names

    return tuple(sorted(filter(is_wanted, files), key=lambda file: (file.size > _SMALL, file.name)))
