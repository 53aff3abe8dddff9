"""The models that a person added on this machine under names of their own. No torch.

Each is a file NAME.json in one folder: $MOC_STUDIO_MODELS, else .moc-studio/models in the person's folder.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from moc_engine.sources.model_files import ENTRY_SUFFIX

NAME: Final = re.compile(r"[\w-][\w.-]{0,63}")
"""What names may look like: those of files, without folders."""


def entries_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of the entries, which need not be there."""
    named = environment.get("MOC_STUDIO_MODELS")
    return Path(named) if named else Path.home() / ".moc-studio" / "models"


def entry_file(name: str, folder: Path | None = None) -> Path:
    """Where the entry of a name lies, if there is one."""
    return (entries_folder() if folder is None else folder) / f"{name}{ENTRY_SUFFIX}"


def find_entry(name: str) -> Path | None:
    """The entry of a name; None where there is none."""
    file = entry_file(name) if NAME.fullmatch(name) else None
    return file if file is not None and file.is_file() else None


def entries(folder: Path | None = None) -> Iterator[tuple[str, Path]]:
    """All entries by name."""
    where = entries_folder() if folder is None else folder
    for file in sorted(where.glob(f"*{ENTRY_SUFFIX}")) if where.is_dir() else ():
        yield file.stem, file
