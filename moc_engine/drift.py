"""Whether cast members and sets keep their looks through the film, and where not, why.

What somebody looked like at the first appearance is what they should look like, until a caption tells another
look or a change of it. Props are left out: a second kite need not be the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moc_engine.trace import Floats, RoutingTrace


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A shot of the film as it shows: its place, its take's trace, and whose looks its caption tells."""

    place: int
    take: str
    trace: RoutingTrace
    told: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """Somebody or something in one shot.

    `distance` is how far its look is from what it should be, in units of what one sees at a glance (1 and
    more looks different), None at an appearance that decides the look. `anchor` is the place of the shot that
    decides it, `share` what it drew from there of all it drew from the past; None where it cannot have.
    """

    place: int
    take: str
    distance: float | None
    anchor: int
    share: float | None

    @property
    def drifted(self) -> bool:
        return self.distance is not None and self.distance >= 1.0


@dataclass(frozen=True, kw_only=True)
class Drift:
    """The appearances of one cast member or set, in order."""

    name: str
    appearances: tuple[Appearance, ...]

    def misleading(self, seen: Appearance) -> tuple[int, ...]:
        """The places of the earlier appearances that do not decide the look of one, each once.

        To remember the deciding one alone, with these banned and it pinned, is what mends a look that
        drifted: a pin by itself rarely does (`moc-studio eval remedy`).
        """
        earlier = (other.place for other in self.appearances if other.place < seen.place)
        return tuple(dict.fromkeys(place for place in earlier if place != seen.anchor))


def drift_of(scenes: Sequence[Scene], cast: Sequence[str]) -> tuple[Drift, ...]:
    """One entry per cast member or set that appears twice or more, in the order of first appearance."""
    anchors: dict[str, tuple[int, str, Floats]] = {}  # name -> place, take, look
    found: dict[str, list[Appearance]] = {}
    for scene in scenes:
        for query, chunk in enumerate(scene.trace.query):
            look = None if scene.trace.looks is None else scene.trace.looks[query]
            if look is None or np.isnan(look).any() or not (chunk.name in cast or _fills(scene.trace, query)):
                continue
            anchor = anchors.get(chunk.name)
            if anchor is None or chunk.name in scene.told or anchor[2].shape != look.shape:
                anchors[chunk.name] = scene.place, scene.take, look
                distance, share = None, None
            else:
                distance = float(np.linalg.norm(look - anchor[2])) / scene.trace.visible
                share = _share(scene.trace, query, chunk.name, anchor[1])
            found.setdefault(chunk.name, []).append(
                Appearance(
                    place=scene.place,
                    take=scene.take,
                    distance=distance,
                    anchor=anchors[chunk.name][0],
                    share=share,
                )
            )
    return tuple(
        Drift(name=name, appearances=tuple(appearances))
        for name, appearances in found.items()
        if len(appearances) > 1
    )


def _fills(trace: RoutingTrace, query: int) -> bool:
    """Whether a chunk fills the picture, as a set does."""
    return trace.boxes is not None and bool((trace.boxes[:, query] == (0.0, 0.0, 1.0, 1.0)).all())


def _share(trace: RoutingTrace, query: int, name: str, take: str) -> float | None:
    """What part of what a chunk drew from the past came from the chunk of a name in a take."""
    past = [column for column, chunk in enumerate(trace.context) if chunk.kind == "history"]
    wanted = [c for c in past if trace.context[c].take == take and trace.context[c].name == name]
    if not wanted:
        return None
    shares = trace.shares(query=query)
    total = float(shares[past].sum())
    return float(shares[wanted].sum()) / total if total else 0.0
