"""A run's state on disk: all that going on needs, and the recipe it belongs to."""

from __future__ import annotations

import io
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, Final

import torch

from moc_engine.errors import CheckpointError
from moc_engine.files import atomic_file
from moc_engine.training.curve import History
from moc_engine.training.recipes import Recipe

FREE: Final = frozenset(
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
"""What of a recipe may be another when a run is resumed."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A run after `step` steps and `seconds`; `recipe` is what `decisive` says of its recipe.

    `origin` names the model it began with, if any.
    """

    step: int
    seconds: float
    recipe: dict[str, Any]
    origin: str | None
    model: dict[str, Any]
    optimizer: dict[str, Any]
    average: dict[str, Any]
    history: History


def decisive(plan: Recipe) -> dict[str, Any]:
    """The parts of a recipe that a run keeps from its first step to its last."""
    return {name: value for name, value in asdict(plan).items() if name not in FREE}


def write(checkpoint: Checkpoint, path: Path) -> None:
    """Replaces the file at once; `OSError` where it cannot be written."""
    state = {**vars(checkpoint), "history": asdict(checkpoint.history)}
    buffer = io.BytesIO()  # torch reports a full disk as a RuntimeError
    torch.save(state, buffer)
    with atomic_file(path) as part:
        part.write_bytes(buffer.getbuffer())


def read(path: Path, plan: Recipe) -> Checkpoint:
    """The checkpoint of a run by `plan`; `CheckpointError` if it is damaged or of another recipe."""
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path} is damaged, or no checkpoint")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        checkpoint = Checkpoint(
            step=int(state["step"]),
            seconds=float(state.get("seconds", 0.0)),
            recipe=dict(state.get("recipe", decisive(plan))),
            origin=state.get("origin"),
            model=dict(state["model"]),
            optimizer=dict(state["optimizer"]),
            average=dict(state["average"]),
            history=_history(state["history"]),
        )
    except (AttributeError, KeyError, RuntimeError, TypeError, UnpicklingError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged, or no checkpoint") from error
    mine = decisive(plan)
    differing = sorted(name for name in {*mine, *checkpoint.recipe} if not _equal(name, mine, checkpoint))
    if differing:
        raise CheckpointError(f"{path} is of another recipe, which differs in {', '.join(differing)}")
    return checkpoint


def _equal(name: str, mine: dict[str, Any], checkpoint: Checkpoint) -> bool:
    return name in mine and name in checkpoint.recipe and bool(mine[name] == checkpoint.recipe[name])


def _history(state: dict[str, Any]) -> History:
    return History(
        loss=[(int(step), float(value)) for step, value in state["loss"]],
        recall={
            name: [(int(step), float(value)) for step, value in points]
            for name, points in state["recall"].items()
        },
    )
