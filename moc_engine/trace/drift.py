"""Whether cast members and sets keep their looks through the film, and where not, why.

What somebody looked like at the first appearance is what they should look like, until a caption tells another
look or a change of it. Props are left out: a second kite need not be the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from moc_engine.trace.record import Floats, Portraits, RoutingTrace


@dataclass(frozen=True, kw_only=True, eq=False)
class Sighting:
    """How a cast member, or a set (it `fills` the picture), looks in one take.

    `drew` is the share of what it took from the past that came from itself in each earlier take, by take;
    from all of that take where the model knows no parts (`part` is false): it cannot be steered alone then.
    """

    name: str
    fills: bool
    part: bool = True
    look: Floats
    drew: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Scene:
    """A shot of the film as it shows: its index and take, what its trace saw, and whose looks its caption
    tells. Looks that lie `visible` apart look different. Features are those of one `model`, and cannot be
    held against another's.
    """

    index: int
    take: str
    visible: float
    seen: tuple[Sighting, ...]
    told: frozenset[str]
    model: str = ""


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """Somebody or something in one shot.

    `distance` is how far its look is from what it should be, in units of what one sees at a glance (1 and
    more looks different), None at an appearance that decides the look. `anchor` is the index of the shot that
    decides it, `share` what it drew from there of all it drew from the past; None where it cannot have.
    `part` as in `Sighting`.
    """

    index: int
    take: str
    distance: float | None
    anchor: int
    share: float | None
    part: bool = True

    @property
    def drifted(self) -> bool:
        return self.distance is not None and self.distance >= 1.0


@dataclass(frozen=True, kw_only=True)
class Drift:
    """The appearances of one cast member or set, in order, one a shot."""

    name: str
    appearances: tuple[Appearance, ...]

    def misleading(self, seen: Appearance) -> tuple[int, ...]:
        """The indices of the earlier appearances that do not decide the look of one, each once.

        To remember the deciding one alone, with these banned and it pinned, is what mends a look that
        drifted; how often, `moc-studio eval remedy` measures.
        """
        (right,) = {other.take for other in self.appearances if other.index == seen.anchor}
        earlier = (other for other in self.appearances if other.index < seen.index)
        return tuple(other.index for other in earlier if other.take != right)  # a split take stands twice


def sightings(trace: RoutingTrace, cast: Sequence[str]) -> tuple[Sighting, ...]:
    """Whom and what of a cast and its sets a trace saw, each once; none where it says nothing of looks."""
    if trace.portraits is not None:
        return tuple(_portrayed(trace, trace.portraits))
    found: dict[tuple[bool, str], Sighting] = {}
    for query, chunk in enumerate(trace.query):
        look, fills = None if trace.looks is None else trace.looks[query], _fills(trace, query)
        if look is None or np.isnan(look).any() or not (fills or chunk.name in cast):
            continue
        drew = _drew(trace, trace.shares(query=query), chunk.name)
        found.setdefault((fills, chunk.name), Sighting(name=chunk.name, fills=fills, look=look, drew=drew))
    return tuple(found.values())


def drift_of(scenes: Sequence[Scene]) -> tuple[Drift, ...]:
    """One entry per cast member or set that appears twice or more, in the order of first appearance."""
    anchors: dict[tuple[bool, str], tuple[Scene, Sighting]] = {}
    found: dict[tuple[bool, str], list[Appearance]] = {}
    for scene in scenes:
        for seen in scene.seen:
            key = seen.fills, seen.name
            known = anchors.get(key)
            anew = known is None or (seen.name in scene.told and not seen.fills)
            if known is None or anew or not _comparable(scene, seen, *known):
                anchors[key] = scene, seen
                distance, share = None, None
            else:
                distance = float(np.linalg.norm(seen.look - known[1].look)) / scene.visible
                share = seen.drew.get(known[0].take)
            found.setdefault(key, []).append(
                Appearance(
                    index=scene.index,
                    take=scene.take,
                    distance=distance,
                    anchor=anchors[key][0].index,
                    share=share,
                    part=seen.part,
                )
            )
    return tuple(
        Drift(name=name, appearances=tuple(appearances))
        for (_, name), appearances in found.items()
        if len(appearances) > 1
    )


def _comparable(scene: Scene, seen: Sighting, known: Scene, before: Sighting) -> bool:
    """Whether two looks are told in the same terms."""
    same_terms = (seen.part and before.part) or scene.model == known.model
    return same_terms and seen.look.shape == before.look.shape


def _fills(trace: RoutingTrace, query: int) -> bool:
    """Whether a chunk fills the picture, as a set does."""
    return trace.boxes is not None and bool((trace.boxes[:, query] == (0.0, 0.0, 1.0, 1.0)).all())


def _portrayed(trace: RoutingTrace, portraits: Portraits) -> Iterator[Sighting]:
    """Sightings by portraits, whose distance is Euclidean: √2 times the root of the cosine distance."""
    for name, vector, shares in zip(portraits.names, portraits.vectors, portraits.shares, strict=True):
        yield Sighting(name=name, fills=False, part=False, look=vector, drew=_drew(trace, shares))


def _drew(trace: RoutingTrace, shares: Floats, name: str | None = None) -> dict[str, float]:
    """What each earlier take, or what is called `name` in it, gave of all that the past gave."""
    total = sum(trace.by_take(shares).values())
    return {take: share / total if total else 0.0 for take, share in trace.by_take(shares, name).items()}
