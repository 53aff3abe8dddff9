"""Estimates the time of a render from two rates, which are measured on finished takes if there are any."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from moc_engine.contract import RenderEvent, Stage, StepEvent
from studio.domain.inputs import TakeInputs


class Timed(Protocol):
    """A finished take with the seconds that each stage took."""

    @property
    def inputs(self) -> TakeInputs: ...
    @property
    def frames(self) -> int: ...
    @property
    def timings(self) -> Mapping[str, float]: ...


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Seconds of work: `denoise` per second of film, `draw` per million pixels to draw and encode.

    With `usual_steps`, which those that set none take, `denoise` is per second, million pixels of a frame and
    step: the time of a real model goes by its tokens. That of the embedded model goes by its objects.
    """

    denoise: float
    draw: float
    usual_steps: int | None = None

    def denoising(self, inputs: TakeInputs) -> float:
        return self.denoise * _denoised(inputs, self.usual_steps)

    def drawing(self, inputs: TakeInputs) -> float:
        width, height = inputs.size
        return self.draw * inputs.seconds * float(inputs.fps) * width * height / 1e6

    def seconds(self, inputs: TakeInputs) -> float:
        """The expected seconds of work for a take."""
        return self.denoising(inputs) + self.drawing(inputs)

    def done(self, inputs: TakeInputs, event: RenderEvent) -> float:
        """The expected seconds of work that are done when the renderer reports `event`."""
        denoise, draw = self.denoising(inputs), self.drawing(inputs)
        begins: Mapping[Stage, float] = {
            "load": 0.0,
            "memory": 0.0,
            "denoise": 0.0,
            "decode": denoise,
            "write": denoise + draw,
        }
        lasts: Mapping[Stage, float] = {"denoise": denoise, "decode": draw}
        share = event.step / event.steps if isinstance(event, StepEvent) else 0.0
        return begins[event.stage] + share * lasts.get(event.stage, 0.0)


TYPICAL: Final = Rates(denoise=0.4, draw=0.06)
"""The rates of the embedded model on two slow cores."""

GUESSED: Final = Rates(denoise=1.0, draw=0.1)
"""Of a real model, for which they tell no time: nearly all of it is denoising."""


def _denoised(inputs: TakeInputs, usual_steps: int | None) -> float:
    """How much is denoised: seconds, or with `usual_steps` seconds × million pixels of a frame × steps."""
    if usual_steps is None:
        return inputs.seconds
    width, height = inputs.size
    return inputs.seconds * width * height / 1e6 * (inputs.steps or usual_steps)


def measured(takes: Collection[Timed], usual_steps: int | None = None) -> Rates:
    """The rates of finished takes; without any `TYPICAL`, or `GUESSED` for a real model."""
    denoised = sum(_denoised(take.inputs, usual_steps) for take in takes)
    pixels = sum(take.frames * take.inputs.size[0] * take.inputs.size[1] for take in takes) / 1e6
    if not denoised or not pixels:
        return TYPICAL if usual_steps is None else replace(GUESSED, usual_steps=usual_steps)
    return Rates(
        denoise=_spent(takes, "memory", "denoise") / denoised,
        draw=_spent(takes, "decode", "write") / pixels,
        usual_steps=usual_steps,
    )


def measured_with(takes: Collection[Timed], model: str, usual_steps: int | None = None) -> Rates:
    """The rates of the takes of a model, by its identity; `usual_steps` are those of a real model."""
    return measured([take for take in takes if take.inputs.model == model], usual_steps)


def _spent(takes: Collection[Timed], *stages: Stage) -> float:
    return sum(take.timings.get(stage, 0.0) for take in takes for stage in stages)


def time_left(done: float, total: float, elapsed: float) -> float:
    """The seconds left when `done` of the `total` estimated seconds of work took `elapsed` seconds.

    The weight of the measured pace grows with the work done.
    """
    trust = 0.1 * total
    pace = (elapsed + trust) / (done + trust) if total else 0.0
    return max(0.0, total - done) * pace
