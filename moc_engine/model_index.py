"""Reads the model_index.json of a pipeline folder, or says why a path cannot be opened. No torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.sources.hub_id import parse_hub_id

EMBEDDED: Final = Path(__file__).parent / "models" / "animatic" / "weights"
"""The folder of the model that comes with the engine."""


def read_model_index(source: str | Path) -> dict[str, Any] | None:
    """The model_index.json of a pipeline folder, which names its `_class_name` and parts; None for a hub id.

    Raises `ModelMismatch` for a file or a folder that is not a pipeline's, and `ModelNotFound` for a path to
    nothing, or one that cannot be looked at.
    """
    path = Path(source)
    check_path(path)
    if path.is_file():
        raise ModelMismatch(f"{path} is a file and not the folder of a model")
    if not path.is_dir():
        if path.exists():
            raise ModelMismatch(f"{path} is not the folder of a model")
        if isinstance(source, Path) or parse_hub_id(source) is None:
            raise ModelNotFound(f"there is no folder {source}, and it is no name of a model on the hub")
        return None
    return parse_model_index(source, path / "model_index.json")


def check_path(path: Path) -> None:
    """Raises `ModelNotFound` for a path that the system refuses: too long, or in a folder that is closed."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "no path has such characters"
        raise ModelNotFound(f"the model {path} cannot be read: {why}") from error


def parse_model_index(source: str | Path, file: Path) -> dict[str, Any]:
    """The content of a model_index.json. Raises `ModelNotFound` where it is missing or damaged."""
    try:
        index = json.loads(file.read_bytes())
        index["_class_name"]
    except FileNotFoundError as error:
        raise ModelNotFound(f"no model in {source}: model_index.json is missing") from error
    except OSError as error:
        raise ModelNotFound(f"no model in {source}: model_index.json: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelNotFound(f"no model in {source}: model_index.json is damaged") from error
    return dict(index)
