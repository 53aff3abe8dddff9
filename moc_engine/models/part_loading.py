"""Loads the parts of a model: from safetensors only, and with none of their weights missing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from safetensors import SafetensorError

from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.models.memory_errors import is_out_of_memory
from moc_engine.models.progress_bars import no_progress_bars
from moc_engine.models.single_file import load_from_file
from moc_engine.models.tokenizer_file import tokenizer_of_file
from moc_engine.sources.part_files import AGAIN, check_part_files, weight_files
from moc_engine.sources.parts import PartSource, PipelineParts


@contextmanager
def reading(model: PipelineParts, name: str) -> Iterator[PartSource]:
    """Where a part lies; errors of loading a missing or damaged part become `ModelNotFound`.

    Memory that runs out is neither, and is raised as it is.
    """
    part = model.part(name)
    try:
        with no_progress_bars():
            yield part
    except (AttributeError, KeyError, OSError, RuntimeError, SafetensorError, TypeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        raise ModelNotFound(f"the {_words(name)} at {part.path} cannot be read: {error}; {AGAIN}") from error


def load_part(
    kind: Any, model: PipelineParts, name: str, *, extra_weights: bool = False, **options: Any
) -> Any:
    """The part `name` of a model; `kind` is its class, of diffusers or transformers.

    Raises `ModelMismatch` for a part of another class, and unless it has each of its weights and, without
    `extra_weights`, no others; and as `reading` does.
    """
    named = model.class_of(name)
    if named != kind.__name__:
        raise ModelMismatch(
            f"{model.source}: its {_words(name)} is a {named}; the engine reads a {kind.__name__}"
        )
    check_part_files(model, name)
    with reading(model, name) as part:
        if part.path.is_file():
            return load_from_file(kind, part, **options)
        loaded, report = kind.from_pretrained(
            part.path,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported below
            **options,
        )
    problem = _difference(report, extra_weights=extra_weights)
    if problem is not None:
        files = ", ".join(f"{name}/{file.name}" for file in weight_files(part.path))
        raise ModelMismatch(
            f"{model.source}: the {_words(name)}'s weights are not those its config.json describes: "
            f"{problem} in {files}; take config.json and weights from the same model"
        )
    return loaded


def _difference(report: Mapping[str, Any], *, extra_weights: bool) -> str | None:
    """How weights differ from those that their configuration describes, by the first that does."""
    missing, extra = (sorted(report[keys]) for keys in ("missing_keys", "unexpected_keys"))
    shapes = sorted(
        (str(name), tuple(there), tuple(wanted)) for name, there, wanted in report["mismatched_keys"]
    )
    if shapes:
        name, there, wanted = shapes[0]
        return f"{name} has the shape {there} and not {wanted}"
    if missing:
        return f"{missing[0]} is missing"
    return f"{extra[0]} is too much" if extra and not extra_weights else None


def _words(name: str) -> str:
    return name.replace("_", " ")


def load_settings(kind: Any, model: PipelineParts, name: str) -> Any:
    """A part without weights: a tokenizer or a scheduler. Raises as `reading` does."""
    with reading(model, name) as part:
        if name == "tokenizer" and part.path.is_file():
            return tokenizer_of_file(part.path)
        return kind.from_pretrained(part.config_folder)
