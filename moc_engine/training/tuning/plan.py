"""The plan of a tuning run, kept as run.json in its folder, where each process reads it. No torch."""

from __future__ import annotations

import json
import math
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from moc_engine.errors import CheckpointError
from moc_engine.files import write_text
from moc_engine.sole_use import USERS, sole_use
from moc_engine.training.tuning.recipe import SparsityStage, TuningRecipe

PLAN: Final = "run.json"
VERSION: Final = 1

CHANGEABLE: Final = frozenset({"steps", "backend"})
"""The fields of a recipe that may change when a run is resumed."""


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """What does not decide the weights, and may change when a run is resumed.

    After `minutes` the run pauses. A checkpoint is written every `save_minutes`, and every `save_steps` where
    that is not 0. Held-out stories are measured every `evaluation_steps`, and sample films of one of them
    rendered every `sample_steps` and `sample_minutes`, in `sampler_steps` denoising steps; 0 is never.
    `tracker` is one of accelerate's, such as "tensorboard". With `shard`, several processes spread the
    weights over themselves (FSDP). `device` is "cpu", or "" for the best there is.
    """

    minutes: float | None = None
    save_minutes: float = 5.0
    save_steps: int = 0
    evaluation_steps: int = 100
    sample_steps: int = 0
    sample_minutes: float = 20.0
    sampler_steps: int = 20
    tracker: str = ""
    shard: bool = False
    device: str = ""

    def __post_init__(self) -> None:
        for name in ("save_steps", "evaluation_steps", "sample_steps"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise ValueError(f"{name}: must be a whole number of 0 or more, got {value!r}")
        for name in ("minutes", "save_minutes", "sample_minutes"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < math.inf:
                raise ValueError(f"{name}: must be 0 or more, got {value!r}")
        if self.sampler_steps < 1:
            raise ValueError(
                f"sampler_steps: must be a whole number of 1 or more, got {self.sampler_steps!r}"
            )
        if self.device not in ("", "cpu"):
            raise ValueError(f"device: 'cpu' or none, got {self.device!r}")


@dataclass(frozen=True, kw_only=True)
class TuningPlan:
    """What is trained, on what, and how: `model` is a folder or hub id, `data` the folder of a cache.

    The last `held_out` stories of a random order are not trained on. Raises `ValueError`.
    """

    model: str
    data: Path
    preset: str
    recipe: TuningRecipe
    held_out: int = 2
    settings: RunSettings = field(default_factory=RunSettings)

    def __post_init__(self) -> None:
        if isinstance(self.held_out, bool) or not isinstance(self.held_out, int) or self.held_out < 0:
            raise ValueError(f"held_out: must be a whole number of 0 or more, got {self.held_out!r}")

    def fixed_fields(self) -> dict[str, Any]:
        """What must not change during a run, but for the content of model and data.

        Fields that are newer than the first checkpoints are there only where they are not their defaults.
        """
        recipe = {name: value for name, value in asdict(self.recipe).items() if name not in CHANGEABLE}
        for name in ("emphasis", "identity"):
            if not recipe[name]:
                del recipe[name]
        if recipe["memory_policy"] == "all":
            del recipe["memory_policy"], recipe["keyframes"]
        stages = tuple(
            {name: value for name, value in stage.items() if value or name in ("until", "top_k")}
            for stage in recipe["stages"]
        )
        return {**recipe, "stages": stages, "held_out": self.held_out}


def write_plan(folder: Path, plan: TuningPlan) -> None:
    """Writes the plan into a run's folder, which is made. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"version": VERSION, **asdict(plan), "data": str(plan.data)}
    write_text(folder / PLAN, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def read_plan(folder: Path) -> TuningPlan:
    """The plan of a run. Raises `CheckpointError` where there is none, or one that cannot be read."""
    file = folder / PLAN
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
        if int(record.pop("version")) > VERSION:
            raise CheckpointError(f"{file} was written by a newer version of moc-studio")
        recipe = {**record["recipe"], "stages": tuple(SparsityStage(**s) for s in record["recipe"]["stages"])}
        settings = RunSettings(**record["settings"])
        known = {
            **record,
            "data": Path(record["data"]),
            "recipe": TuningRecipe(**recipe),
            "settings": settings,
        }
        return TuningPlan(**known)
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no run in {folder}: {PLAN} is missing") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{file} is damaged, or no plan of a run: {error}") from error


def alone_in(out: Path) -> AbstractContextManager[None]:
    """Keeps other processes from training into a folder; raises `FolderInUse` where one does so."""
    return sole_use(
        out / USERS, f"another process is training into {out}; wait for its end, or choose another --out"
    )


def changed_names(before: TuningPlan, after: TuningPlan) -> list[str]:
    """The fields of `TuningPlan.fixed_fields` in which two plans differ."""
    one, other = before.fixed_fields(), after.fixed_fields()
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


RECIPE_FIELDS: Final = frozenset(field.name for field in fields(TuningRecipe))
SETTING_FIELDS: Final = frozenset(field.name for field in fields(RunSettings))
