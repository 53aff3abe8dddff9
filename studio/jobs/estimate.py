"""How long a render should take: two rates, measured on finished takes where there are any."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from moc_engine.contract import RenderEvent, Stage, StepEvent
from studio.domain.inputs import TakeInputs


class Timed(Protocol):
    """A finished take, as far as it tells how long such things take."""

    @property
    def inputs(self) -> TakeInputs: ...
    @property
    def frames(self) -> int: ...
    @property
    def timings(self) -> Mapping[str, float]: ...


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Seconds of work per second of film to denoise it, and per million pixels to draw and encode."""

    denoise: float
    draw: float

    def denoising(self, inputs: TakeInputs) -> float:
        return self.denoise * inputs.seconds

    def drawing(self, inputs: TakeInputs) -> float:
        width, height = inputs.size
        return self.draw * inputs.seconds * float(inputs.fps) * width * height / 1e6

    def seconds(self, inputs: TakeInputs) -> float:
        """The seconds one take should need."""
        return self.denoising(inputs) + self.drawing(inputs)

    def done(self, inputs: TakeInputs, event: RenderEvent) -> float:
        """How many of a take's seconds are behind when the renderer reports `event`."""
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
"""The embedded model on two slow cores."""


def measured(takes: Collection[Timed]) -> Rates:
    """The rates of finished takes; `TYPICAL` where there is nothing to learn from."""
    film = sum(take.inputs.seconds for take in takes)
    pixels = sum(take.frames * take.inputs.size[0] * take.inputs.size[1] for take in takes) / 1e6
    if not film or not pixels:
        return TYPICAL
    return Rates(
        denoise=_spent(takes, "memory", "denoise") / film,
        draw=_spent(takes, "decode", "write") / pixels,
    )


def _spent(takes: Collection[Timed], *stages: Stage) -> float:
    return sum(take.timings.get(stage, 0.0) for take in takes for stage in stages)


def time_left(done: float, total: float, elapsed: float) -> float:
    """Seconds left of `total` estimated ones when `done` of them took `elapsed`.

    The estimate is trusted at first and the clock more and more.
    """
    trust = 0.1 * total
    pace = (elapsed + trust) / (done + trust) if total else 0.0
    return max(0.0, total - done) * pace
