"""What a routing trace says, in words: how much a shot drew from which earlier shot, and for whom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from moc_engine.trace import RoutingTrace

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
    """The share of a shot's attention that went to earlier shot `shot`, and its strongest pairs."""

    shot: int
    take: str | None
    share: float
    pairs: tuple[Pair, ...]


def told_links(trace: RoutingTrace) -> tuple[ToldLink, ...]:
    """The links of a trace, the strongest first, each with its strongest pairs of chunks."""
    return tuple(
        ToldLink(shot=link.source, take=link.take, share=link.share, pairs=_pairs(trace, link.source))
        for link in trace.links()
    )


def in_words(trace: RoutingTrace, captions: Mapping[int, str]) -> str:
    """A few lines on one shot; `captions` are those of the film's shots."""
    head = f"Shot {trace.shot + 1}: {captions.get(trace.shot, '')}".rstrip(": ")
    lines = [head, f"  {_percent(trace.own_share())} of its attention stayed in the shot itself"]
    captions_share = trace.caption_share()
    if captions_share is not None:
        lines.append(f"  {_percent(captions_share)} went to captions")
    for link in told_links(trace):
        caption = captions.get(link.shot)
        lines.append(
            f"  {_percent(link.share)} went to shot {link.shot + 1}" + (f": {caption}" if caption else "")
        )
        lines += [
            f"        {pair.query} ← {pair.source} ({_percent(pair.share).strip()})" for pair in link.pairs
        ]
    lines += _steered(trace)
    return "\n".join(lines)


def _pairs(trace: RoutingTrace, shot: int) -> tuple[Pair, ...]:
    columns = [i for i, c in enumerate(trace.context) if c.kind == "history" and c.shot == shot]
    shares: dict[tuple[str, str], list[float]] = {}
    by_query = trace.by_query()
    for row, chunk in enumerate(trace.query):
        for column in columns:
            pair = (chunk.name, trace.context[column].name)
            shares.setdefault(pair, []).append(float(by_query[row, column]))
    pairs = [Pair(query=q, source=s, share=float(np.mean(found))) for (q, s), found in shares.items()]
    strongest = sorted(pairs, key=lambda pair: -pair.share)[:PAIRS]
    return tuple(pair for pair in strongest if pair.share > 0)


def _steered(trace: RoutingTrace) -> list[str]:
    lines = []
    for name, word in (("pins", "pinned"), ("bans", "banned")):
        shots: Sequence[int] = trace.steering.get(name, ())
        if shots:
            lines.append(f"  {word}: shot {', '.join(str(shot + 1) for shot in shots)}")
    return lines


def _percent(share: float) -> str:
    """.4132 -> " 41%"; what is there but small is not called nothing."""
    return "< 1%" if 0 < share < 0.005 else f"{share:4.0%}"
