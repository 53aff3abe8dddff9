"""Drift of looks: where cast members and sets do not keep their look through the film, and why.

The look at the first appearance is the expected one, until a caption describes another look or a change.
Props are left out: a second kite need not be the first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from moc_engine.trace.record import Portraits, RoutingTrace
from moc_engine.trace.units import Floats


@dataclass(frozen=True, kw_only=True, eq=False)
class Sighting:
    """The look of a cast member, or of a set (which `fills_picture`), in one take.

    `sources` are shares, by earlier take, of the attention that it paid to all earlier takes: to itself in
    that take, or to all of that take where the model knows no parts (`part` is false) and it cannot be
    steered alone.
    """

    name: str
    fills_picture: bool
    part: bool = True
    look: Floats
    sources: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class ShotSightings:
    """What the take of one shot shows, by its trace.

    `described` are the names whose looks its caption describes. Looks that are `visible` apart look
    different. Features are those of one `model`, and cannot be compared with another model's.
    """

    index: int
    take: str
    visible: float
    seen: tuple[Sighting, ...]
    described: frozenset[str]
    model: str = ""


@dataclass(frozen=True, kw_only=True)
class Appearance:
    """A cast member or set in one shot.

    `distance` is that of its look from the expected one, in units of a visible difference (from 1 on it looks
    different); None at an appearance that determines the look. `anchor` is the index of the shot that
    determines it, `share` the share of the attention to earlier takes that went there, None where it could
    not. `part` as in `Sighting`.
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
        """The indices of the earlier appearances that do not determine the look of this one, each once.

        Banning these and pinning the one that does corrects a look that drifted; `moc-studio eval remedy`
        measures how often.
        """
        (right,) = {other.take for other in self.appearances if other.index == seen.anchor}
        earlier = (other for other in self.appearances if other.index < seen.index)
        # both halves of a split shot have the same take
        return tuple(other.index for other in earlier if other.take != right)


def sightings(trace: RoutingTrace, cast: Sequence[str]) -> tuple[Sighting, ...]:
    """The cast members and sets in a trace, each once; none where the trace has no looks or portraits."""
    if trace.portraits is not None:
        return tuple(_portrayed(trace, trace.portraits))
    found: dict[tuple[bool, str], Sighting] = {}
    for query, chunk in enumerate(trace.query):
        look = None if trace.looks is None else trace.looks[query]
        fills_picture = _fills_picture(trace, query)
        if look is None or np.isnan(look).any() or not (fills_picture or chunk.name in cast):
            continue
        sources = _sources(trace, trace.shares(query=query), chunk.name)
        found.setdefault(
            (fills_picture, chunk.name),
            Sighting(name=chunk.name, fills_picture=fills_picture, look=look, sources=sources),
        )
    return tuple(found.values())


def drift_of(shots: Sequence[ShotSightings]) -> tuple[Drift, ...]:
    """One entry per cast member or set that appears twice or more, in the order of first appearance."""
    anchors: dict[tuple[bool, str], tuple[ShotSightings, Sighting]] = {}
    found: dict[tuple[bool, str], list[Appearance]] = {}
    for shot in shots:
        for seen in shot.seen:
            key = seen.fills_picture, seen.name
            known = anchors.get(key)
            anew = known is None or (seen.name in shot.described and not seen.fills_picture)
            if known is None or anew or not _comparable(shot, seen, *known):
                anchors[key] = shot, seen
                distance, share = None, None
            else:
                distance = float(np.linalg.norm(seen.look - known[1].look)) / shot.visible
                share = seen.sources.get(known[0].take)
            found.setdefault(key, []).append(
                Appearance(
                    index=shot.index,
                    take=shot.take,
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


def _comparable(shot: ShotSightings, seen: Sighting, known: ShotSightings, before: Sighting) -> bool:
    """Whether two looks are vectors of the same kind."""
    same_terms = (seen.part and before.part) or shot.model == known.model
    return same_terms and seen.look.shape == before.look.shape


def _fills_picture(trace: RoutingTrace, query: int) -> bool:
    """Whether a chunk fills the picture, as a set does."""
    return trace.boxes is not None and bool((trace.boxes[:, query] == (0.0, 0.0, 1.0, 1.0)).all())


def _portrayed(trace: RoutingTrace, portraits: Portraits) -> Iterator[Sighting]:
    """Sightings by portraits, whose distance is Euclidean: √2 times the root of the cosine distance."""
    for name, vector, shares in zip(portraits.names, portraits.vectors, portraits.shares, strict=True):
        yield Sighting(
            name=name, fills_picture=False, part=False, look=vector, sources=_sources(trace, shares)
        )


def _sources(trace: RoutingTrace, shares: Floats, name: str | None = None) -> dict[str, float]:
    """Take id -> its share, or that of its chunks called `name`, in the attention to all earlier takes."""
    total = sum(trace.by_take(shares).values())
    return {take: share / total if total else 0.0 for take, share in trace.by_take(shares, name).items()}
