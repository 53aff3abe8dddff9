"""What a routing trace says, in words: how much a shot drew from which earlier shot, and for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from moc_engine.trace import EMPTY, RoutingTrace
from studio.takes import Take

PAIRS: Final = 3
"""How many pairs of chunks are named per link."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What part `query` of a shot drew from part `source` of an earlier one, as a share of its attention."""

    query: str
    source: str
    share: float


@dataclass(frozen=True, kw_only=True)
class ToldLink:
    """The share of a shot's attention that went to one take, and its strongest pairs.

    `shot` is where that take stands in the film now, None where the film no longer shows it.
    """

    shot: int | None
    take: str | None
    share: float
    pairs: tuple[Pair, ...]


def told_links(trace: RoutingTrace, places: Mapping[str, int]) -> tuple[ToldLink, ...]:
    """The links of a trace, the strongest first; `places` says where in the film each take stands.

    The trace itself counts shots as they were when it was recorded.
    """
    return tuple(
        ToldLink(
            shot=places.get(link.take or ""),
            take=link.take,
            share=link.share,
            pairs=_pairs(trace, link.source),
        )
        for link in trace.links()
    )


def in_words(trace: RoutingTrace, shot: int, film: Mapping[int, Take], captions: Mapping[str, str]) -> str:
    """A few lines on one shot of a film; `captions` are those of all takes by id, shown or not."""
    take = film[shot]
    places = {shown.id: place for place, shown in film.items()}
    lines = [
        f"Shot {shot + 1}: {take.caption}",
        f"  {_percent(trace.own_share())} of its attention stayed in the shot itself",
    ]
    captions_share = trace.caption_share()
    if captions_share is not None:
        lines.append(f"  {_percent(captions_share)} went to captions")
    for link in told_links(trace, places):
        where = "a take the film no longer shows" if link.shot is None else f"shot {link.shot + 1}"
        caption = captions.get(link.take or "")
        lines.append(f"  {_percent(link.share)} went to {where}" + (f": {caption}" if caption else ""))
        lines += [
            f"        {pair.query} ← {pair.source} ({_percent(pair.share).strip()})" for pair in link.pairs
        ]
    lines += _steered("pinned", take.inputs.pins, places)
    lines += _steered("banned", take.inputs.bans, places)
    return "\n".join(lines)


def _pairs(trace: RoutingTrace, shot: int) -> tuple[Pair, ...]:
    columns = [i for i, c in enumerate(trace.context) if c.kind == "history" and c.shot == shot]
    shares: dict[tuple[str, str], list[float]] = {}
    by_query = trace.by_query()
    for row, chunk in enumerate(trace.query):
        for column in columns:
            pair = (chunk.name, trace.context[column].name)
            shares.setdefault(pair, []).append(float(by_query[row, column]))
    pairs = [
        Pair(query=q, source=s, share=float(np.mean(found)))
        for (q, s), found in shares.items()
        if not (q.endswith(EMPTY) or s.endswith(EMPTY))
    ]
    strongest = sorted(pairs, key=lambda pair: -pair.share)[:PAIRS]
    return tuple(pair for pair in strongest if pair.share > 0)


def _steered(word: str, takes: Sequence[str], places: Mapping[str, int]) -> list[str]:
    if not takes:
        return []
    shots = [str(places[take] + 1) for take in takes if take in places]
    told = [f"shot {', '.join(shots)}"] if shots else []
    if len(shots) < len(takes):
        told.append("a take the film no longer shows")
    return [f"  {word}: {' and '.join(told)}"]


def _percent(share: float) -> str:
    """.4132 -> " 41%"; what is there but small is not called nothing."""
    return "< 1%" if 0 < share < 0.005 else f"{share:4.0%}"
