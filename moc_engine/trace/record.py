"""The routing trace of a rendered shot: what it attended to, summed up and stored. numpy only.

Every query token shares its attention out among context chunks: those of its own shot, those of earlier
takes (history), and captions where the model has them in the sequence. A trace keeps these shares

    per layer, head, group of denoising steps, query chunk and context chunk (a table), and
    per query token and context chunk, averaged over layers, heads and steps (the token map),

in units of 1/65535 and rounded so that the shares of a query sum to exactly 1. Large models have their
heads, steps or tokens averaged further, so that a file stays small; the trace says by how much. It also
says where in the shot's picture its tokens lie, as boxes of what they show or a grid over the frame, and what
its parts, or its cast, look like.

A file is a zip of a JSON header and plain arrays, the same bytes for the same content.
"""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from moc_engine.errors import TraceError
from moc_engine.stored_file import LocalFile, StoredFile

Floats = NDArray[np.float64]
Units = NDArray[np.uint16]
Counts = NDArray[np.uint32]

FORMAT: Final = "moc-routing-trace"
VERSION: Final = 1
EMPTY: Final = " (empty)"
"""Ends the name of a slot where a shot shows nothing."""
FAINT: Final = 0.005
"""A share of attention too small to change anything visible."""
ONE: Final = 65535
"""A share of 1."""

MOST_BYTES: Final = 1 << 28
"""Files that unpack to more are refused."""


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

    def save(self, path: Path) -> None:
        """Writes the trace; an existing file is overwritten."""
        arrays = {"table": self.table, "picks": _narrow(self.picks), "token_table": self.token_table}
        if self.boxes is not None:
            arrays["boxes"] = np.asarray((self.boxes * ONE).round(), dtype=np.uint16)
        if self.looks is not None:
            arrays["looks"] = self.looks.astype(np.float16).view(np.uint16)
        if self.portraits is not None:
            arrays["portraits"] = self.portraits.vectors.astype(np.float16).view(np.uint16)
            arrays["portrait_shares"] = in_units(self.portraits.shares)
        header = {
            "format": FORMAT,
            "version": VERSION,
            **{name: getattr(self, name) for name in _HEADER},
            "portraits": () if self.portraits is None else self.portraits.names,
            "query": [vars(chunk) for chunk in self.query],
            "context": [vars(chunk) for chunk in self.context],
            "arrays": {name: {"type": a.dtype.str, "shape": a.shape} for name, a in arrays.items()},
        }
        text = json.dumps(header, ensure_ascii=False, sort_keys=True, default=dict)
        with zipfile.ZipFile(path, "w") as file:
            _write(file, "header.json", text.encode())
            for name, array in arrays.items():
                _write(file, name, _planes(array))

    @classmethod
    def load(cls, source: Path | StoredFile) -> RoutingTrace:
        """Reads a trace; raises `TraceError` where it is missing, damaged or of a newer version."""
        stored = LocalFile(source) if isinstance(source, Path) else source
        try:
            with stored.open() as stream, zipfile.ZipFile(stream) as file:
                if sum(member.file_size for member in file.infolist()) > MOST_BYTES:
                    raise TraceError(f"{stored} is too large for a routing trace")
                return cls._read(file, str(stored))
        except FileNotFoundError as error:
            raise TraceError(f"there is no routing trace {stored}") from error
        except OSError as error:
            raise TraceError(f"{stored} cannot be read: {error.strerror or error}") from error
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
            raise TraceError(f"{stored} is damaged, or is no routing trace") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TraceError(f"{stored} is no routing trace, or is damaged: {error}") from error

    @classmethod
    def _read(cls, file: zipfile.ZipFile, name: str) -> RoutingTrace:
        header = json.loads(file.read("header.json"))
        if header["format"] != FORMAT:
            raise ValueError(f"its format is {header['format']!r}")
        if header["version"] > VERSION:
            raise TraceError(
                f"{name} was written by a newer version (trace format {header['version']}, "
                f"this one reads up to {VERSION})"
            )
        arrays = {
            name: _array(file, name, header["arrays"][name])
            for name in (*_ARRAYS, *_FURTHER)
            if name in header["arrays"] or name not in _FURTHER
        }
        trace = cls(
            **{name: header[name] for name in ("shot", "model", "backend", "routing", "token_run")},
            steering=_steering(header["steering"]),
            query=tuple(
                QueryChunk(name=c["name"], frames=_pair(c["frames"]), tokens=c["tokens"])
                for c in header["query"]
            ),
            context=tuple(
                ContextChunk(
                    kind=c["kind"],
                    name=c["name"],
                    shot=c["shot"],
                    take=c["take"],
                    frames=None if c["frames"] is None else _pair(c["frames"]),
                )
                for c in header["context"]
            ),
            step_groups=tuple(_pair(group) for group in header["step_groups"]),
            weights=tuple(header["weights"]),
            heads=tuple(header["heads"]),
            table=arrays["table"].astype(np.uint16),
            picks=arrays["picks"].astype(np.uint32),
            token_table=arrays["token_table"].astype(np.uint16),
            moments=tuple(float(moment) for moment in header.get("moments", ())),
            boxes=arrays["boxes"] / ONE if "boxes" in arrays else None,
            grid=_pair(header["grid"]) if header.get("grid") else None,
            looks=_halves(arrays["looks"]) if "looks" in arrays else None,
            visible=float(header.get("visible", 1.0)),
            portraits=Portraits(
                names=tuple(header["portraits"]),
                vectors=_halves(arrays["portraits"]),
                shares=arrays["portrait_shares"] / ONE,
            )
            if header.get("portraits") or any("portrait" in name for name in arrays)
            else None,
        )
        trace._check()
        return trace

    def _check(self) -> None:
        for name, counts in (("weights", self.weights), ("heads", self.heads)):
            if not all(isinstance(count, int) and count > 0 for count in counts):
                raise ValueError(f"{name} are {counts}")
        if len(self.step_groups) != len(self.weights):
            raise ValueError(f"there are {len(self.step_groups)} groups of steps for {self.weights}")
        if not (math.isfinite(self.visible) and self.visible > 0):
            raise ValueError(f"what is visible is {self.visible}")
        if not all(math.isfinite(moment) for moment in self.moments):
            raise ValueError(f"the moments are {self.moments}")
        shots = [self.shot, *(chunk.shot for chunk in self.context)]
        tokens = [chunk.tokens for chunk in self.query]
        if not all(isinstance(number, int) for number in (*shots, *tokens)) or min(tokens, default=1) < 1:
            raise ValueError(f"the shots are {shots}, the tokens {tokens}")
        for source in self.context:
            if source.kind not in ("own", "history", "caption"):
                raise ValueError(f"a chunk is of the kind {source.kind!r}")
        names = [chunk.name for chunk in self.query] + [chunk.name for chunk in self.context]
        names += () if self.portraits is None else self.portraits.names
        for name in names:
            if not isinstance(name, str):
                raise ValueError(f"a chunk is called {name!r}")
        for source in self.context:
            if not (source.take is None or isinstance(source.take, str)):
                raise ValueError(f"a chunk's take is {source.take!r}")
        shape = (len(self.heads), len(self.weights), len(self.query), len(self.context))
        rows = len(self.token_runs())
        if self.table.ndim != 5 or self.table.shape[1:] != shape or self.picks.shape != self.table.shape:
            raise ValueError(f"the table's shape {self.table.shape} does not fit")
        if self.token_table.shape != (rows, len(self.context)):
            raise ValueError(f"the token map's shape {self.token_table.shape} does not fit")
        if self.grid is not None and not self._is_laid_out(*self.grid):
            raise ValueError(f"the grid {self.grid} does not fit")
        if self.boxes is not None and self.boxes.shape != (len(self.moments), len(self.query), 4):
            raise ValueError(f"the boxes' shape {self.boxes.shape} does not fit")
        if self.looks is not None and (self.looks.ndim != 2 or len(self.looks) != len(self.query)):
            raise ValueError(f"the looks' shape {self.looks.shape} does not fit")
        if self.portraits is not None:
            count, vectors, shares = len(self.portraits.names), self.portraits.vectors, self.portraits.shares
            if vectors.ndim != 2 or len(vectors) != count or shares.shape != (count, len(self.context)):
                raise ValueError(f"the portraits' shapes {vectors.shape}, {shares.shape} do not fit")
            if len(set(self.portraits.names)) != count or not np.isfinite(vectors).all():
                raise ValueError("the portraits are not of different names, or not finite")

    def _is_laid_out(self, rows: int, columns: int) -> bool:
        """Whether chunks are frames of rows × columns tokens, or that many slots through all frames."""
        slots = rows * columns
        return len(self.query) == slots or all(chunk.tokens == slots for chunk in self.query)


COMPRESSION: Final = 5
"""The level of deflate: 1% larger than at 6 in two thirds of the time."""

_ARRAYS: Final = ("table", "picks", "token_table")
_FURTHER: Final = ("boxes", "looks", "portraits", "portrait_shares")
"""Those that a file may lack."""

_HEADER: Final = (
    "shot",
    "model",
    "backend",
    "routing",
    "steering",
    "step_groups",
    "weights",
    "heads",
    "token_run",
    "moments",
    "grid",
    "visible",
)


def in_units(shares: Floats) -> Units:
    """Shares (..., C) whose rows sum to 1 as units of 1/65535 that sum to exactly 65535.

    Rounds down and gives what is missing to the largest remainders, among equal ones to the first. Rows of
    nothing stay nothing. Only what is not 0 is computed, which is little of a long story's rows.
    """
    cells = np.flatnonzero(shares != 0)
    return _rounded(shares.ravel()[cells], cells, shares.shape)


def sums_in_units(sums: NDArray[np.int64]) -> Units:
    """Sums (..., C) of shares as `in_units`, each row over its total."""
    cells = np.flatnonzero(sums != 0)  # much faster than of the sums themselves
    values = sums.ravel()[cells].astype(np.float64)
    row = cells // sums.shape[-1]
    totals = np.bincount(row, weights=values)
    return _rounded(values / totals[row], cells, sums.shape)


def _rounded(shares: Floats, cells: NDArray[np.int64], shape: tuple[int, ...]) -> Units:
    """Units in an array of `shape`, where its ascending `cells` hold the shares and all others nothing."""
    units = np.zeros(shape, dtype=np.uint16)
    row = cells // shape[-1]
    exact = shares * ONE
    whole = np.floor(exact)
    missing = ONE - np.bincount(row, weights=whole).astype(np.int64)
    by_remainder = np.lexsort((whole - exact, row))  # rows stay in order
    rank = np.empty_like(row)
    rank[by_remainder] = np.arange(len(row)) - np.searchsorted(row, row)
    units.ravel()[cells] = whole + (rank < missing[row])
    return units


def _chosen(choices: Sequence[int | None]) -> tuple[int | slice, ...]:
    """The choices as an index of leading axes; an axis without a choice is kept whole."""
    return tuple(slice(None) if choice is None else choice for choice in choices)


def _narrow(counts: Counts) -> NDArray[Any]:
    """The counts in the smallest type that holds them."""
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))


def _planes(array: NDArray[Any]) -> bytes:
    """The array's bytes grouped by significance, lowest first, which compresses better."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return little.reshape(-1, 1).view(np.uint8).T.tobytes()


def _write(file: zipfile.ZipFile, name: str, data: bytes) -> None:
    member = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    member.compress_type = zipfile.ZIP_DEFLATED
    member.external_attr = 0o644 << 16
    file.writestr(member, data, compresslevel=COMPRESSION)


def _array(file: zipfile.ZipFile, name: str, spec: Mapping[str, Any]) -> NDArray[Any]:
    dtype = np.dtype(spec["type"])
    if dtype.kind != "u":
        raise ValueError(f"{name} holds {dtype}")
    data = np.frombuffer(file.read(name), dtype=np.uint8)
    whole = np.ascontiguousarray(data.reshape(dtype.itemsize, -1).T)
    return np.asarray(whole.view(dtype.newbyteorder("<")).reshape(spec["shape"]))


def _halves(bits: NDArray[Any]) -> Floats:
    """16-bit floats that were stored as integers."""
    return np.ascontiguousarray(bits, dtype=np.uint16).view(np.float16).astype(np.float64)


def _steering(told: Mapping[str, Any]) -> dict[str, Any]:
    """The steering as it was saved; JSON has only texts as keys."""
    steering = dict(told)
    for name in ("boosts", "boost_chunks"):
        if name in steering:
            steering[name] = {int(number): boost for number, boost in steering[name].items()}
    return steering


def _pair(values: Sequence[int]) -> tuple[int, int]:
    first, stop = values
    return int(first), int(stop)
