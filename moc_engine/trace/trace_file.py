"""The file of a routing trace: a zip of a JSON header and arrays, the same bytes for the same content."""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from moc_engine.errors import TraceError
from moc_engine.stored_file import LocalFile, StoredFile
from moc_engine.trace.record import ContextChunk, Counts, Portraits, QueryChunk, RoutingTrace
from moc_engine.trace.units import ONE, Floats, in_units

FORMAT: Final = "moc-routing-trace"
VERSION: Final = 1

MOST_BYTES: Final = 1 << 28
"""Files that unpack to more are refused."""

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


def write_trace(trace: RoutingTrace, path: Path) -> None:
    """Writes a trace; an existing file is overwritten."""
    arrays = {"table": trace.table, "picks": _narrow(trace.picks), "token_table": trace.token_table}
    if trace.boxes is not None:
        arrays["boxes"] = np.asarray((trace.boxes * ONE).round(), dtype=np.uint16)
    if trace.looks is not None:
        arrays["looks"] = trace.looks.astype(np.float16).view(np.uint16)
    if trace.portraits is not None:
        arrays["portraits"] = trace.portraits.vectors.astype(np.float16).view(np.uint16)
        arrays["portrait_shares"] = in_units(trace.portraits.shares)
    header = {
        "format": FORMAT,
        "version": VERSION,
        **{name: getattr(trace, name) for name in _HEADER},
        "portraits": () if trace.portraits is None else trace.portraits.names,
        "query": [vars(chunk) for chunk in trace.query],
        "context": [vars(chunk) for chunk in trace.context],
        "arrays": {name: {"type": a.dtype.str, "shape": a.shape} for name, a in arrays.items()},
    }
    text = json.dumps(header, ensure_ascii=False, sort_keys=True, default=dict)
    with zipfile.ZipFile(path, "w") as file:
        _write(file, "header.json", text.encode())
        for name, array in arrays.items():
            _write(file, name, _planes(array))


def read_trace(source: Path | StoredFile) -> RoutingTrace:
    """Reads a trace; raises `TraceError` where it is missing, damaged or of a newer version."""
    stored = LocalFile(source) if isinstance(source, Path) else source
    try:
        with stored.local() as path, zipfile.ZipFile(path) as file:
            if sum(member.file_size for member in file.infolist()) > MOST_BYTES:
                raise TraceError(f"{stored} is too large for a routing trace")
            return _read(file, str(stored))
    except FileNotFoundError as error:
        raise TraceError(f"there is no routing trace {stored}") from error
    except OSError as error:
        raise TraceError(f"{stored} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise TraceError(f"{stored} is damaged, or is no routing trace") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise TraceError(f"{stored} is no routing trace, or is damaged: {error}") from error


def _read(file: zipfile.ZipFile, name: str) -> RoutingTrace:
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
    trace = RoutingTrace(
        **{name: header[name] for name in ("shot", "model", "backend", "routing", "token_run")},
        steering=_steering(header["steering"]),
        query=tuple(
            QueryChunk(name=c["name"], frames=_pair(c["frames"]), tokens=c["tokens"]) for c in header["query"]
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
    _check(trace)
    return trace


def _check(trace: RoutingTrace) -> None:
    """Raises `ValueError` where parts of a trace do not fit each other."""
    for name, counts in (("weights", trace.weights), ("heads", trace.heads)):
        if not all(isinstance(count, int) and count > 0 for count in counts):
            raise ValueError(f"{name} are {counts}")
    if len(trace.step_groups) != len(trace.weights):
        raise ValueError(f"there are {len(trace.step_groups)} groups of steps for {trace.weights}")
    if not (math.isfinite(trace.visible) and trace.visible > 0):
        raise ValueError(f"what is visible is {trace.visible}")
    if not all(math.isfinite(moment) for moment in trace.moments):
        raise ValueError(f"the moments are {trace.moments}")
    shots = [trace.shot, *(chunk.shot for chunk in trace.context)]
    tokens = [chunk.tokens for chunk in trace.query]
    if not all(isinstance(number, int) for number in (*shots, *tokens)) or min(tokens, default=1) < 1:
        raise ValueError(f"the shots are {shots}, the tokens {tokens}")
    for source in trace.context:
        if source.kind not in ("own", "history", "caption"):
            raise ValueError(f"a chunk is of the kind {source.kind!r}")
    names = [chunk.name for chunk in trace.query] + [chunk.name for chunk in trace.context]
    names += () if trace.portraits is None else trace.portraits.names
    for name in names:
        if not isinstance(name, str):
            raise ValueError(f"a chunk is called {name!r}")
    for source in trace.context:
        if not (source.take is None or isinstance(source.take, str)):
            raise ValueError(f"a chunk's take is {source.take!r}")
    shape = (len(trace.heads), len(trace.weights), len(trace.query), len(trace.context))
    rows = len(trace.token_runs())
    if trace.table.ndim != 5 or trace.table.shape[1:] != shape or trace.picks.shape != trace.table.shape:
        raise ValueError(f"the table's shape {trace.table.shape} does not fit")
    if trace.token_table.shape != (rows, len(trace.context)):
        raise ValueError(f"the token map's shape {trace.token_table.shape} does not fit")
    if trace.grid is not None and not _is_laid_out(trace, *trace.grid):
        raise ValueError(f"the grid {trace.grid} does not fit")
    if trace.boxes is not None and trace.boxes.shape != (len(trace.moments), len(trace.query), 4):
        raise ValueError(f"the boxes' shape {trace.boxes.shape} does not fit")
    if trace.looks is not None and (trace.looks.ndim != 2 or len(trace.looks) != len(trace.query)):
        raise ValueError(f"the looks' shape {trace.looks.shape} does not fit")
    if trace.portraits is not None:
        count, vectors, shares = len(trace.portraits.names), trace.portraits.vectors, trace.portraits.shares
        if vectors.ndim != 2 or len(vectors) != count or shares.shape != (count, len(trace.context)):
            raise ValueError(f"the portraits' shapes {vectors.shape}, {shares.shape} do not fit")
        if len(set(trace.portraits.names)) != count or not np.isfinite(vectors).all():
            raise ValueError("the portraits are not of different names, or not finite")


def _is_laid_out(trace: RoutingTrace, rows: int, columns: int) -> bool:
    """Whether chunks are frames of rows × columns tokens, or that many slots through all frames."""
    slots = rows * columns
    return len(trace.query) == slots or all(chunk.tokens == slots for chunk in trace.query)


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
