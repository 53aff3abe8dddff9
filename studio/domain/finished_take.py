"""A finished take, as planning and editing know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from studio.domain.inputs import TakeInputs


@dataclass(frozen=True, kw_only=True)
class FinishedTake:
    """A finished render of a shot, as far as the planner needs it.

    `caption` is the shot's own at the time, `context` (shot id, take id) of the takes it could attend to.
    By id of these takes, `links` are the shares of its attention that went to each, and `strongest` the part
    of the picture that drew most from each, with its share in what the part drew from all.
    `rolled_from` is the seed that the shot asked for, if the take was rendered with another one. `lora_files`
    are the files of the LoRAs in the inputs, as they were named; takes of earlier versions have none.
    """

    id: str
    inputs: TakeInputs
    caption: str
    frames: int
    context: tuple[tuple[str, str], ...] = ()
    links: Mapping[str, float] = field(default_factory=dict)
    strongest: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    rolled_from: int | None = None
    lora_files: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        return float(self.frames / self.inputs.fps)

    def share(self, take: str) -> float:
        """The share of a context take in the attention that went to the whole context, 0–1."""
        total = sum(self.links.values())
        return self.links.get(take, 0.0) / total if total else 0.0

    def dependence(self, take: str) -> float:
        """How much this take depends on a context take, 0–1: an estimate from its attention."""
        return self.strongest[take][1] if take in self.strongest else self.share(take)


Takes = Mapping[str, FinishedTake]
"""Finished takes by id."""
