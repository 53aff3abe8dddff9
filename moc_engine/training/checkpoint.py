"""The checkpoint file: everything a run needs to continue, and the recipe it belongs to."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from io import BufferedWriter, FileIO
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any, Final

import torch

from moc_engine.config import RoutingConfig
from moc_engine.errors import CheckpointError
from moc_engine.files import atomic_file
from moc_engine.training.curve import History
from moc_engine.training.recipes import Recipe

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

CHANGEABLE: Final = frozenset(
    {
        "steps",
        "on_cpu",
        "workers",
        "checkpoint_minutes",
        "evaluation_minutes",
        "evaluation_stories",
        "evaluation_shots",
        "evaluation_steps",
        "piece_minutes",
    }
)
"""The fields of a recipe of the embedded model that may change when a run is resumed."""

RENAMED: Final = {
    "silent": "caption_dropout",
    "examined_stories": "evaluation_stories",
    "examined_shots": "evaluation_shots",
    "examined_steps": "evaluation_steps",
}
"""Fields of recipes in checkpoints of version 0.1, and their names today."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A run after `step` steps and `seconds`; `recipe` is what must not change during the run.

    `origin` is the name of the model it started from, if any.
    """

    step: int
    seconds: float
    recipe: dict[str, Any]
    origin: str | None
    model: dict[str, Any]
    optimizer: dict[str, Any]
    average: dict[str, Any]
    history: History


def fixed_fields(plan: Recipe) -> dict[str, Any]:
    """The fields of a recipe that must not change during a run."""
    return {name: value for name, value in asdict(plan).items() if name not in CHANGEABLE}


def write(checkpoint: Checkpoint, path: Path) -> None:
    """Replaces the file atomically; raises `OSError` if it cannot be written."""
    state = {**vars(checkpoint), "history": asdict(checkpoint.history)}
    with atomic_file(path) as part, _Written(FileIO(part, "wb")) as stream:
        try:
            torch.save(state, stream)
        except RuntimeError:  # which torch makes of a full disk
            if stream.failed is None:
                raise
            raise stream.failed from None


class _Written(BufferedWriter):
    """A file that keeps the error which ended its writing."""

    failed: OSError | None = None

    def write(self, data: Buffer) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.failed = error
            raise


def read(path: Path, expected: Mapping[str, Any]) -> Checkpoint:
    """Reads the checkpoint of a run whose fixed fields are `expected`.

    Raises `CheckpointError` for damage, or another recipe.
    """
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path} is damaged, or no checkpoint")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint = Checkpoint(
            step=int(state["step"]),
            seconds=float(state.get("seconds", 0.0)),
            recipe=_upgraded(state.get("recipe", dict(expected)), expected),
            origin=state.get("origin"),
            model=dict(state["model"]),
            optimizer=dict(state["optimizer"]),
            average=dict(state["average"]),
            history=_history(state["history"]),
        )
    except (AttributeError, KeyError, RuntimeError, TypeError, UnpicklingError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged, or no checkpoint") from error
    names = {*expected, *checkpoint.recipe} - CHANGEABLE
    differing = sorted(name for name in names if not _equal(name, expected, checkpoint))
    if differing:
        raise CheckpointError(f"{path} is of another recipe; it differs in {', '.join(differing)}")
    return checkpoint


def _upgraded(recipe: dict[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded recipe with today's names, and the defaults of expected settings that are newer than it."""
    fields = {RENAMED.get(name, name): value for name, value in recipe.items()}
    if "routing" in fields:
        fields["routing"] = asdict(RoutingConfig()) | dict(fields["routing"])
    if "router" in expected:
        fields.setdefault("router", Recipe.router)
    if "without" in fields:
        fields["without"] = tuple("drop" if name == "chance" else name for name in fields["without"])
    return fields


def _equal(name: str, expected: Mapping[str, Any], checkpoint: Checkpoint) -> bool:
    recorded = checkpoint.recipe
    return name in expected and name in recorded and bool(expected[name] == recorded[name])


def _history(state: dict[str, Any]) -> History:
    return History(
        loss=[(int(step), float(value)) for step, value in state["loss"]],
        recall={
            name: [(int(step), float(value)) for step, value in points]
            for name, points in state["recall"].items()
        },
    )
