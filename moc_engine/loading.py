"""Reading a model's parts from a folder or the hub: what cannot be read is told, and nothing is left out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.quiet import quietly


@contextmanager
def reading(source: str | Path) -> Iterator[None]:
    """Turns what loading raises for parts that are missing or damaged into `ModelNotFound`."""
    try:
        with quietly():
            yield
    except (AttributeError, KeyError, OSError, RuntimeError, SafetensorError, TypeError, ValueError) as error:
        raise ModelNotFound(f"the model at {source} cannot be read: {error}") from error


def read_part(kind: Any, source: str | Path, name: str, **options: Any) -> Any:
    """The part `name` of a pipeline folder or hub model, a class of diffusers or transformers.

    Raises `ModelMismatch` unless it has each of its weights and no others, and as `reading` does.
    """
    with reading(source):
        part, report = kind.from_pretrained(
            source,
            subfolder=name,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are told below
            **options,
        )
    if report["missing_keys"] or report["unexpected_keys"] or report["mismatched_keys"]:
        words = name.replace("_", " ")
        raise ModelMismatch(f"{source}: the {words}'s weights are not those its config.json describes")
    return part
