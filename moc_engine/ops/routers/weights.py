"""The parameters of learned routers beside a model's weights: `routers.safetensors` in the model's folder.

A tensor is named by its router, as in `moga.layers.0.weight`. The sizes of the model are in the file's
metadata.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from moc_engine.errors import ModelMismatch, ModelNotFound
from moc_engine.ops.routers.registry import find_router
from moc_engine.ops.routers.router import LearnedRouter, ModelSizes

FILE: Final = "routers.safetensors"


def write_routers(folder: Path, routers: Mapping[str, LearnedRouter]) -> None:
    """Writes the parameters of routers of one model into its folder; none where there are none."""
    if not routers:
        return
    tensors = {
        f"{name}.{key}": tensor.detach().cpu().contiguous()
        for name, router in routers.items()
        for key, tensor in router.state_dict().items()
    }
    sizes = {name: json.dumps(asdict(router.sizes)) for name, router in routers.items()}
    save_file(tensors, folder / FILE, metadata=sizes)


def learned_routers(folder: Path) -> tuple[str, ...]:
    """The names of the learned routers of the model in a folder; raises `ModelNotFound` if damaged."""
    path = folder / FILE
    if not path.is_file():
        return ()
    with _opened(path) as file:
        return tuple(file.metadata() or ())


def read_routers(folder: Path, sizes: ModelSizes) -> dict[str, LearnedRouter]:
    """The learned routers of the model in a folder, by name; none where the folder has no such file.

    Raises `ModelNotFound` for a damaged file, and `ModelMismatch` for routers of a model of other sizes or of
    another version.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    with _opened(path) as file:
        metadata = file.metadata() or {}
        made_for = {name: ModelSizes(**json.loads(text)) for name, text in metadata.items()}
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    return {name: _router(path, name, made_for[name], sizes, tensors) for name in made_for}


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The open file; what is wrong with it is told in words."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, TypeError, ValueError) as error:
        raise ModelNotFound(f"{path} is damaged: copy the model again") from error


def _router(
    path: Path, name: str, made_for: ModelSizes, sizes: ModelSizes, tensors: Mapping[str, Tensor]
) -> LearnedRouter:
    if made_for != sizes:
        raise ModelMismatch(f"{path}: the router {name} is of a model of other sizes")
    try:
        build = find_router(name).parameters
    except ValueError as error:
        raise ModelMismatch(f"{path}: {error}") from error
    if build is None:
        raise ModelMismatch(f"{path}: the router {name} has no parameters")
    router = build(sizes)
    begin = f"{name}."
    try:
        router.load_state_dict(
            {key.removeprefix(begin): tensor for key, tensor in tensors.items() if key.startswith(begin)}
        )
    except RuntimeError as error:
        raise ModelMismatch(f"{path}: the router {name} is of another version: {error}") from error
    return router.requires_grad_(False)
