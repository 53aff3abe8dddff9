"""The columns of a trace as a person knows them: who or what, and in which shot of the film as it is now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from moc_engine.trace.record import EMPTY, RoutingTrace

Floats = NDArray[np.float64]

NOBODY: Final = "empty places"
"""The slots of a shot that show nothing, taken together; they hardly differ."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Something a shot could look at: one chunk, or the empty ones of a shot together.

    `index` is that of the shot that shows its take now, None if the film no longer shows it; `frames` are
    latent frames first:stop of that take; `columns` those of the trace.
    """

    kind: Literal["own", "history", "caption"]
    name: str
    index: int | None
    take: str | None
    frames: tuple[int, int] | None
    columns: tuple[int, ...]

    @property
    def label(self) -> str:
        """ "Mira in shot 3"."""
        match self.kind:
            case "own":
                return "this shot"
            case "caption":
                return self.name
            case _:
                return f"{self.name} in {shot_name(self.index)}"

    @property
    def steerable(self) -> bool:
        """Whether it is a chunk that can be pinned, banned or boosted."""
        return self.kind == "history" and self.name != NOBODY


def shot_name(index: int | None) -> str:
    """ "shot 3", for index 2."""
    return "a take the film no longer shows" if index is None else f"shot {index + 1}"


def sources_of(trace: RoutingTrace, indices: Mapping[str, int]) -> tuple[Source, ...]:
    """The sources of a trace in its order; `indices` are those of the shots that show each take."""
    found: dict[tuple[object, ...], Source] = {}
    for column, chunk in enumerate(trace.context):
        empty = chunk.kind == "history" and chunk.name.endswith(EMPTY)
        key = (chunk.take, NOBODY) if empty else (column,)
        before = found.get(key)
        found[key] = Source(
            kind=chunk.kind,
            name=NOBODY if empty else chunk.name,
            index=indices.get(chunk.take or ""),
            take=chunk.take,
            frames=chunk.frames,
            columns=(*(before.columns if before else ()), column),
        )
    return tuple(found.values())


def by_source(values: NDArray[Any], sources: Sequence[Source]) -> NDArray[Any]:
    """Values (…, columns of the trace) summed up to (…, sources)."""
    return np.stack([values[..., list(source.columns)].sum(axis=-1) for source in sources], axis=-1)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What something drew from one source: the share of its attention, and how often it was picked."""

    source: Source
    share: float
    picks: int


def ranked(shares: Floats, picks: NDArray[np.int64], sources: Sequence[Source]) -> tuple[Drawn, ...]:
    """What shares and picks (columns of the trace,) say of each source that got any, the strongest first."""
    found = [
        Drawn(source=source, share=float(share), picks=int(count))
        for source, share, count in zip(
            sources, by_source(shares, sources), by_source(picks, sources), strict=True
        )
        if share > 0
    ]
    return tuple(sorted(found, key=lambda drawn: -drawn.share))
