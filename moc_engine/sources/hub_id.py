"""Names of models on the hub: "owner/name", or "owner/name@revision" for one state of it. No torch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_ID: Final = re.compile(r"([\w-][\w.-]*(?:/[\w-][\w.-]*)?)(?:@(\w[\w./-]*))?")
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


def parse_hub_id(text: str) -> HubId | None:
    """The repository and revision of a name; None for what cannot be one."""
    found = _ID.fullmatch(text)
    if found is None or len(found[1]) > _LONGEST_REPO or ".." in text:
        return None
    return HubId(found[1], found[2])
