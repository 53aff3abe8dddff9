"""Loads the parts of a model: from safetensors only, and with none of their weights missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

from safetensors import SafetensorError

from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.models.progress_bars import no_progress_bars

_PICKLED: Final = (".bin", ".ckpt", ".pkl", ".pt", ".pth")


@contextmanager
def reading(source: str | Path) -> Iterator[None]:
    """Turns the errors of loading a missing, damaged or unsafe part into `ModelNotFound`."""
    folder = Path(source)
    piece = next(_pickled_pieces(folder), None)
    if piece is not None:
        raise ModelNotFound(_only_safetensors(source, piece))
    try:
        with no_progress_bars():
            yield
    except UnpicklingError as error:
        raise ModelNotFound(_only_safetensors(source, "a file of it")) from error
    except (AttributeError, KeyError, OSError, RuntimeError, SafetensorError, TypeError, ValueError) as error:
        unsafe = next(_pickles(folder), None)
        if unsafe is not None:
            raise ModelNotFound(_only_safetensors(source, unsafe)) from error
        raise ModelNotFound(f"the model at {source} cannot be read: {error}") from error


def _only_safetensors(source: str | Path, file: Path | str) -> str:
    return f"the model at {source} cannot be read: only safetensors are, and {file} is not one"


def _pickles(folder: Path) -> Iterator[Path]:
    """Files in a model's folder that may hold code, whatever they are called."""
    for file in sorted(folder.glob("*/*")):
        if file.suffix in _PICKLED or (file.suffix == ".safetensors" and _is_pickle(file)):
            yield file.relative_to(folder)


def _is_pickle(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(2) in (b"PK", *(bytes((0x80, protocol)) for protocol in range(2, 6)))


def _pickled_pieces(folder: Path) -> Iterator[Path]:
    """Files other than safetensors that an index of weights names: libraries read whatever it names."""
    for listed in sorted(folder.glob("*/*.index.json")):
        try:
            names = json.loads(listed.read_bytes())["weight_map"].values()
        except (AttributeError, KeyError, OSError, TypeError, ValueError):
            continue  # loading it reports the error
        for name in names:
            if Path(str(name)).suffix != ".safetensors":
                yield listed.parent.relative_to(folder) / str(name)


def load_part(
    kind: Any, source: str | Path, name: str, *, extra_weights: bool = False, **options: Any
) -> Any:
    """The part `name` of a pipeline folder or hub model; `kind` is its class, of diffusers or transformers.

    Raises `ModelMismatch` unless it has each of its weights and, without `extra_weights`, no others; and as
    `reading` does.
    """
    with reading(source):
        part, report = kind.from_pretrained(
            source,
            subfolder=name,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported below
            **options,
        )
    wrong = ["missing_keys", "mismatched_keys", *([] if extra_weights else ["unexpected_keys"])]
    if any(report[keys] for keys in wrong):
        words = name.replace("_", " ")
        raise ModelMismatch(f"{source}: the {words}'s weights are not those its config.json describes")
    return part
