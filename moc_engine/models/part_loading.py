"""Loads the parts of a model: from safetensors only, and with none of their weights missing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

from safetensors import SafetensorError

from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.models.progress_bars import no_progress_bars
from moc_engine.models.single_file import load_from_file
from moc_engine.models.tokenizer_file import tokenizer_of_file
from moc_engine.sources.parts import PartSource, PipelineParts

_PICKLED: Final = (".bin", ".ckpt", ".pkl", ".pt", ".pth")


@contextmanager
def reading(model: PipelineParts, name: str) -> Iterator[PartSource]:
    """Where a part lies; errors of loading a missing, damaged or unsafe part become `ModelNotFound`."""
    part = model.part(name)
    piece = next(_pickled_pieces(part.path), None)
    if piece is not None:
        raise ModelNotFound(_only_safetensors(model, f"{name}/{piece}"))
    try:
        with no_progress_bars():
            yield part
    except UnpicklingError as error:
        raise ModelNotFound(_only_safetensors(model, "a file of it")) from error
    except (AttributeError, KeyError, OSError, RuntimeError, SafetensorError, TypeError, ValueError) as error:
        unsafe = next(_pickles(part.path), None)
        if unsafe is not None:
            raise ModelNotFound(_only_safetensors(model, f"{name}/{unsafe}")) from error
        raise ModelNotFound(f"the model at {model.source} cannot be read: {error}") from error


def _only_safetensors(model: PipelineParts, file: str) -> str:
    return f"the model at {model.source} cannot be read: only safetensors are, and {file} is not one"


def _pickles(path: Path) -> Iterator[str]:
    """Files of a part that may hold code, whatever they are called."""
    files: Iterable[Path] = sorted(path.glob("*")) if path.is_dir() else [path]
    for file in files:
        if file.suffix in _PICKLED or (file.suffix == ".safetensors" and _is_pickle(file)):
            yield file.name


def _is_pickle(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(2) in (b"PK", *(bytes((0x80, protocol)) for protocol in range(2, 6)))


def _pickled_pieces(path: Path) -> Iterator[str]:
    """Files other than safetensors that an index of weights names: libraries read whatever it names."""
    for listed in sorted(path.glob("*.index.json")):
        try:
            names = json.loads(listed.read_bytes())["weight_map"].values()
        except (AttributeError, KeyError, OSError, TypeError, ValueError):
            continue  # loading it reports the error
        for name in names:
            if Path(str(name)).suffix != ".safetensors":
                yield str(name)


def load_part(
    kind: Any, model: PipelineParts, name: str, *, extra_weights: bool = False, **options: Any
) -> Any:
    """The part `name` of a model; `kind` is its class, of diffusers or transformers.

    Raises `ModelMismatch` for a part of another class, and unless it has each of its weights and, without
    `extra_weights`, no others; and as `reading` does.
    """
    named = model.class_of(name)
    if named != kind.__name__:
        words = name.replace("_", " ")
        raise ModelMismatch(f"{model.source}: its {words} is a {named}; the engine reads a {kind.__name__}")
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
    wrong = ["missing_keys", "mismatched_keys", *([] if extra_weights else ["unexpected_keys"])]
    if any(report[keys] for keys in wrong):
        words = name.replace("_", " ")
        raise ModelMismatch(f"{model.source}: the {words}'s weights are not those its config.json describes")
    return loaded


def load_settings(kind: Any, model: PipelineParts, name: str) -> Any:
    """A part without weights: a tokenizer or a scheduler. Raises as `reading` does."""
    with reading(model, name) as part:
        if name == "tokenizer" and part.path.is_file():
            return tokenizer_of_file(part.path)
        return kind.from_pretrained(part.config_folder)
