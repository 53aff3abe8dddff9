"""Names on the hub: models "owner/name", files "owner/name/file.safetensors", with "@revision". No torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_NAME: Final = r"\w(?:[\w.-]*\w)?"
_REVISION: Final = r"(?:@(\w[\w./-]*))?"
_ID: Final = re.compile(rf"({_NAME}(?:/{_NAME})?){_REVISION}", re.ASCII)
_FILE: Final = re.compile(
    rf"({_NAME}/{_NAME})/([^@\\:\x00-\x1f\ud800-\udfff]+\.safetensors){_REVISION}", re.ASCII
)
_LONGEST_REPO: Final = 96
"""Characters of a repository's name, the limit of the hub."""
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubId:
    """A repository of the hub and its revision: a branch, a tag, a commit, or None for the newest state."""

    repo: str
    revision: str | None = None

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return self.revision is not None and _COMMIT.fullmatch(self.revision) is not None

    def at(self, commit: str) -> HubId:
        """The same repository at a commit."""
        return HubId(self.repo, commit)

    def __str__(self) -> str:
        return self.repo if self.revision is None else f"{self.repo}@{self.revision}"


@dataclass(frozen=True)
class HubFile:
    """One file of weights of a repository, such as a LoRA; the revision is that of the repository."""

    repository: HubId
    name: str

    def at(self, commit: str) -> HubFile:
        """The same file at a commit."""
        return HubFile(self.repository.at(commit), self.name)

    def __str__(self) -> str:
        revision = self.repository.revision
        return f"{self.repository.repo}/{self.name}" + ("" if revision is None else f"@{revision}")


def parse_hub_id(text: str) -> HubId | None:
    """The repository and revision of a model's name; None for what cannot be one."""
    found = _ID.fullmatch(text)
    if found is None or not _is_repo(found[1]) or ".." in text:
        return None
    return HubId(found[1], found[2])


def parse_hub_file(text: str) -> HubFile | None:
    """The repository, file and revision of "owner/name/file.safetensors@revision"; None for other names."""
    found = _FILE.fullmatch(text)
    if found is None or not _is_repo(found[1]) or ".." in text:
        return None
    if {"", "."} & {*found[2].split("/")}:
        return None
    return HubFile(HubId(found[1], found[3]), found[2])


def parse_hub_name(text: str) -> HubId | HubFile | None:
    """A model or a file of the hub; None for what names neither."""
    return parse_hub_file(text) or parse_hub_id(text)


def _is_repo(name: str) -> bool:
    """Whether the hub, and its client, would take a name of this form."""
    return len(name) <= _LONGEST_REPO and "--" not in name and not name.endswith(".git")
