"""The routing trace of a rendered shot: what it attended to, summed up. numpy only.

Every query token shares its attention out among context chunks: those of its own shot, those of earlier
takes (history), and captions where the model has them in the sequence. A trace keeps these shares

    per layer, head, group of denoising steps, query chunk and context chunk (a table), and
    per query token and context chunk, averaged over layers, heads and steps (the token map),

in units of 1/65535 and rounded so that the shares of a query sum to exactly 1. Large models have their
heads, steps or tokens averaged further, so that a file stays small; the trace says by how much. It also
says where in the shot's picture its tokens lie, as boxes of what they show or a grid over the frame, and what
its parts, or its cast, look like.

`trace_file` writes and reads it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from moc_engine.trace.units import ONE, Floats, Units

Counts = NDArray[np.uint32]

EMPTY: Final = " (empty)"
"""Ends the name of a slot where a shot shows nothing."""
FAINT: Final = 0.005
"""A share of attention too small to change anything visible."""


@dataclass(frozen=True, kw_only=True)
class QueryChunk:
    """A run of `tokens` query tokens: what it is, and which latent frames first:stop it spans."""

    name: str
    frames: tuple[int, int]
    tokens: int


@dataclass(frozen=True, kw_only=True)
class ContextChunk:
    """A chunk that the shot could attend to.

    `shot` is its number (-1 for the global caption), `take` the id of an earlier take, `frames` the
    latent frames first:stop within its shot, None for captions.
    """

    kind: Literal["own", "history", "caption"]
    name: str
    shot: int
    take: str | None = None
    frames: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Portraits:
    """Portraits of cast members by the model's own features, where chunks are not objects.

    `vectors` (P, E) of length 1, one for each of P `names`; `shares` (P, C) are the shares of attention that
    their tokens paid to the context chunks, each row in sum 1.
    """

    names: tuple[str, ...]
    vectors: Floats
    shares: Floats


@dataclass(frozen=True, kw_only=True)
class Link:
    """The share of a shot's attention that went to one earlier take."""

    shot: int
    source: int
    take: str | None
    share: float


@dataclass(frozen=True, kw_only=True, eq=False)
class RoutingTrace:
    """One shot's routing. N layers, H (groups of) heads, G groups of steps, Q query and C context chunks.

    `table` (N, H, G, Q, C) holds shares and `token_table` (tokens or runs of them, C) the token map, in
    units of 1/65535; `picks` (N, H, G, Q, C) how often a query token chose a chunk by routing.
    `step_groups` are steps first:stop, `heads` and `weights` say how many heads and recorded steps each
    entry averages; `token_run` how many tokens of a query chunk each row of the token map averages.

    `moments` are the seconds at which the F latent frames stand. `boxes` (F, Q, 4) are left, top, right and
    bottom of what each query chunk shows there, as shares of the picture 0–1, all 0 where it shows nothing;
    None where chunks are no objects. `grid` are the rows and columns of tokens over a frame, where they
    lie so. `looks` (Q, D) are what the query chunks look like, NaN where there is nothing to see; parts of
    the same kind whose looks lie `visible` or more apart look different, and so do `portraits`.
    """

    shot: int
    model: str
    backend: str
    routing: Mapping[str, Any]
    steering: Mapping[str, Any]
    query: tuple[QueryChunk, ...]
    context: tuple[ContextChunk, ...]
    step_groups: tuple[tuple[int, int], ...]
    weights: tuple[int, ...]
    heads: tuple[int, ...]
    token_run: int
    table: Units
    picks: Counts
    token_table: Units
    moments: tuple[float, ...] = ()
    boxes: Floats | None = None
    grid: tuple[int, int] | None = None
    looks: Floats | None = None
    visible: float = 1.0
    portraits: Portraits | None = None

    def shares(
        self,
        *,
        layer: int | None = None,
        head: int | None = None,
        group: int | None = None,
        query: int | None = None,
    ) -> Floats:
        """The share of each context chunk (C,), averaged over whatever is not named; sums to 1."""
        choices = (layer, head, group, query)
        shares = self.table[_chosen(choices)] / ONE
        weights: tuple[Sequence[float], ...] = (
            [1.0] * len(self.table),
            self.heads,
            self.weights,
            [chunk.tokens for chunk in self.query],
        )
        for choice, weight in zip(choices, weights, strict=True):
            if choice is None:
                shares = np.average(shares, axis=0, weights=weight)
        return np.asarray(shares)

    def counts(
        self,
        *,
        layer: int | None = None,
        head: int | None = None,
        group: int | None = None,
        query: int | None = None,
    ) -> NDArray[np.int64]:
        """How often query tokens chose each context chunk (C,), summed over whatever is not named."""
        counts = self.picks[_chosen((layer, head, group, query))]
        return np.asarray(counts.sum(axis=tuple(range(counts.ndim - 1)), dtype=np.int64))

    def by_layer(self) -> Floats:
        """(N, C): the shares of each layer."""
        return np.stack([self.shares(layer=layer) for layer in range(self.table.shape[0])])

    def by_query(self) -> Floats:
        """(Q, C): the shares of each query chunk."""
        return np.stack([self.shares(query=query) for query in range(len(self.query))])

    def token_map(self) -> Floats:
        """(tokens, C): the shares of each query token; of each run where `token_run` exceeds 1."""
        return np.asarray(self.token_table / ONE)

    def token_runs(self) -> tuple[tuple[int, int, int], ...]:
        """Each row of the token map: its query chunk and the tokens first:stop within that chunk."""
        return tuple(
            (nth, first, min(first + self.token_run, chunk.tokens))
            for nth, chunk in enumerate(self.query)
            for first in range(0, chunk.tokens, self.token_run)
        )

    def token_row(self, chunk: int, token: int) -> int:
        """The row of the token map that holds token `token` of a query chunk. Raises `IndexError`."""
        if not 0 <= token < self.query[chunk].tokens:
            raise IndexError(f"query chunk {chunk} has {self.query[chunk].tokens} tokens, not {token + 1}")
        before = sum(-(-other.tokens // self.token_run) for other in self.query[:chunk])
        return before + token // self.token_run

    def attended_by(self, weights: Floats) -> Floats:
        """The share of each context chunk (C,) in the attention of tokens weighted by `weights` (tokens,)."""
        starts = np.cumsum([0, *(chunk.tokens for chunk in self.query)])
        firsts = [starts[chunk] + first for chunk, first, _ in self.token_runs()]
        by_run = np.add.reduceat(weights, firsts) @ (self.token_table / ONE)
        return np.asarray(by_run / by_run.sum())

    def by_take(self, shares: Floats, name: str | None = None) -> dict[str, float]:
        """Take id -> the part of `shares` (C,) that belongs to it, or to its chunks called `name`."""
        found: dict[str, float] = {}
        for chunk, share in zip(self.context, shares.tolist(), strict=True):
            if chunk.kind == "history" and name in (None, chunk.name):
                found[chunk.take or ""] = found.get(chunk.take or "", 0.0) + share
        return found

    def with_take_ids(self, names: Mapping[str, str]) -> RoutingTrace:
        """The trace with takes under other ids, for those in `names`: ids may change after it was written."""
        if not any(chunk.take in names for chunk in self.context):
            return self
        context = (
            chunk if chunk.take is None else replace(chunk, take=names.get(chunk.take, chunk.take))
            for chunk in self.context
        )
        return replace(self, context=tuple(context))

    def own_share(self) -> float:
        """The share of attention that stayed in the shot."""
        return self._total("own")

    def caption_share(self) -> float | None:
        """The share that captions received; None where captions are not in the sequence."""
        return self._total("caption") if any(c.kind == "caption" for c in self.context) else None

    def shot_shares(self) -> dict[int, float]:
        """The share each earlier shot received, by its number, ascending."""
        shares: dict[int, float] = {}
        for chunk, share in zip(self.context, self.shares().tolist(), strict=True):
            if chunk.kind == "history":
                shares[chunk.shot] = shares.get(chunk.shot, 0.0) + share
        return dict(sorted(shares.items()))

    def strongest(self) -> dict[str, tuple[str, float]]:
        """For each earlier take the thing in the picture that drew most from it, and how much: of what that
        drew from the past, of what is to be seen there, 0–1.

        It foretells best what would change without the take (`moc-studio eval influence`).
        """
        past = [
            column
            for column, chunk in enumerate(self.context)
            if chunk.kind == "history" and chunk.take is not None and not chunk.name.endswith(EMPTY)
        ]
        takes = {self.context[column].take or "": None for column in past}
        columns = [[self.context[column].take == take for column in past] for take in takes]
        found = dict.fromkeys(takes, ("", 0.0))
        for chunk, shares in zip(self.query, self.by_query(), strict=True):
            total = float(shares[past].sum())
            if chunk.name.endswith(EMPTY) or total < FAINT:
                continue
            for take, mask in zip(takes, columns, strict=True):
                share = float(shares[past][mask].sum()) / total
                if share > found[take][1]:
                    found[take] = chunk.name, share
        return found

    def links(self) -> tuple[Link, ...]:
        """The earlier takes that were attended to, the strongest first."""
        takes = {chunk.shot: chunk.take for chunk in self.context if chunk.kind == "history"}
        links = [
            Link(shot=self.shot, source=source, take=takes[source], share=share)
            for source, share in self.shot_shares().items()
            if share > 0
        ]
        return tuple(sorted(links, key=lambda link: (-link.share, link.source)))

    def _total(self, kind: str) -> float:
        return float(self.shares()[[chunk.kind == kind for chunk in self.context]].sum())


def _chosen(choices: Sequence[int | None]) -> tuple[int | slice, ...]:
    """The choices as an index of leading axes; an axis without a choice is kept whole."""
    return tuple(slice(None) if choice is None else choice for choice in choices)
