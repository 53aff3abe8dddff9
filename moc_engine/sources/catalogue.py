"""Models that are known to be on the hub: what they are, their licence, what hinders reading them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

_FILE: Final = Path(__file__).with_name("catalogue.json")


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """A model of the hub, with the steps that it is sampled with; `unreadable` says why it cannot be used."""

    id: str
    title: str
    licence: str
    steps: int
    note: str = ""
    unreadable: str | None = None


@cache
def known_models() -> tuple[KnownModel, ...]:
    """All of them, the one to try first at the beginning."""
    return tuple(KnownModel(**entry) for entry in json.loads(_FILE.read_bytes()))


def known_model(repo: str) -> KnownModel | None:
    """What is known of a repository."""
    return next((model for model in known_models() if model.id == repo), None)
