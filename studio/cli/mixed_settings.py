"""Notes on a film of shots with different settings, such as after a render without an option of the last."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

from studio.domain.inputs import TakeInputs
from studio.service.rendering import PlannedShot
from studio.store.takes import StoredTake

OF_CONTEXT: Final = ("full_below", "memory_policy", "keyframes", "memory_storage", "positions", "router")
"""Settings that shots without context leave at their defaults."""

SETTINGS: Final = (
    "model",
    "steps",
    "guidance",
    "guidance_2",
    "scheduler",
    "shift",
    "step_cache",
    "top_k",
    *OF_CONTEXT,
)
"""Settings of a whole film. Shots of different sizes or frame rates are refused before they are rendered."""

DEFAULT: Final = "the model's default"


def mixed_settings(planned: Collection[PlannedShot], takes: Mapping[int, StoredTake]) -> list[str]:
    """A line on each setting in which kept takes differ from the shots to render, and the option to match it.

    `takes` are the chosen ones by index of the shot.
    """
    now = [shot.inputs for shot in planned if shot.action == "render"]
    kept = {
        shot.index: takes[shot.index].inputs
        for shot in planned
        if shot.action == "keep" and shot.index in takes
    }
    return [note for name in SETTINGS for note in _about(name, now, kept)]


def _about(name: str, now: Sequence[TakeInputs], kept: Mapping[int, TakeInputs]) -> Iterator[str]:
    wanted = {_value(inputs, name) for inputs in now if _matters(inputs, name)}
    others = {
        index: value
        for index, inputs in kept.items()
        if _matters(inputs, name) and (value := _value(inputs, name)) not in wanted
    }
    if not wanted or not others:
        return
    shots = f"shot{'s' if len(others) > 1 else ''} {', '.join(str(index + 1) for index in others)}"
    if name == "model":
        yield f"the film mixes models: the kept takes of {shots} are of another model"
        return
    values = sorted(set(others.values()))
    told = f"the film mixes settings: {name.replace('_', '-')} is now {', '.join(sorted(wanted))}, and "
    told += f"{', '.join(values)} in the kept takes of {shots}"
    if len(values) == 1 and values != [DEFAULT]:
        told += f"; to match them, add --{name.replace('_', '-')} {values[0]}"
    yield told


def _matters(inputs: TakeInputs, name: str) -> bool:
    return name not in OF_CONTEXT or bool(inputs.context)


def _value(inputs: TakeInputs, name: str) -> str:
    value = getattr(inputs, name)
    return DEFAULT if value is None else str(value)
