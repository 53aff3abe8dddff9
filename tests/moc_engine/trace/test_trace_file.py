"""Files of routing traces: read as they were written, and what is damaged is refused."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moc_engine.errors import TraceError
from moc_engine.trace.record import Portraits, RoutingTrace
from moc_engine.trace.trace_file import read_trace, write_trace
from tests.fakes.recorded_trace import small_trace


def test_a_saved_trace_is_read_as_it_was(tmp_path: Path) -> None:
    trace = small_trace(captions=True)
    write_trace(trace, tmp_path / "trace")
    read = read_trace(tmp_path / "trace")
    for name in ("shot", "model", "backend", "routing", "steering", "query", "context", "heads", "weights"):
        assert getattr(read, name) == getattr(trace, name)
    assert read.step_groups == ((0, 1), (1, 2), (2, 3), (3, 4))
    for name in ("table", "picks", "token_table"):
        assert np.array_equal(getattr(read, name), getattr(trace, name))
        assert getattr(read, name).dtype == getattr(trace, name).dtype
    assert read.shares() == pytest.approx(trace.shares())


def placed(**places: Any) -> RoutingTrace:
    return replace(small_trace(), moments=(0.25, 0.75), **places)


def test_where_things_are_is_read_as_it_was(tmp_path: Path) -> None:
    boxes = np.array([[[0, 0, 1, 1], [0, 0, 0, 0]], [[0.1, 0.25, 0.5, 0.75], [1 / 3, 0, 1, 0.9]]])
    write_trace(placed(boxes=boxes), tmp_path / "trace")
    read = read_trace(tmp_path / "trace")
    assert read.moments == (0.25, 0.75)
    assert read.boxes is not None
    assert read.boxes == pytest.approx(boxes, abs=1 / 65535)
    assert not read.boxes[0, 1].any()
    assert read.grid is None
    write_trace(read, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "trace").read_bytes()


def test_a_grid_is_read_as_it_was(tmp_path: Path) -> None:
    write_trace(placed(grid=(1, 2)), tmp_path / "trace")
    read = read_trace(tmp_path / "trace")
    assert (read.grid, read.moments, read.boxes) == ((1, 2), (0.25, 0.75), None)


def test_portraits_are_read_as_they_were(tmp_path: Path) -> None:
    trace = small_trace()
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2, 5)).astype(np.float16).astype(np.float64)
    shares = rng.dirichlet(np.ones(len(trace.context)), 2)
    portraits = Portraits(names=("Mira", "Otto"), vectors=vectors, shares=shares)
    write_trace(replace(trace, portraits=portraits), tmp_path / "trace.moc")
    read = read_trace(tmp_path / "trace.moc").portraits
    assert read is not None
    assert read.names == portraits.names
    assert np.array_equal(read.vectors, vectors)
    assert np.allclose(read.shares, shares, atol=2e-5)
    for wrong in (
        replace(portraits, names=("Mira",)),
        replace(portraits, names=("Mira", "Mira")),
        replace(portraits, vectors=np.full_like(vectors, np.nan)),
    ):
        write_trace(replace(trace, portraits=wrong), tmp_path / "trace.moc")
        with pytest.raises(TraceError, match="portraits"):
            read_trace(tmp_path / "trace.moc")


@pytest.mark.parametrize("missing", ["portraits", "portrait_shares"])
def test_half_a_portrait_is_damage(tmp_path: Path, missing: str) -> None:
    trace = small_trace()
    shares = np.full((1, len(trace.context)), 1 / len(trace.context))
    told = Portraits(names=("Mira",), vectors=np.ones((1, 5)), shares=shares)
    write_trace(replace(trace, portraits=told), tmp_path / "trace.moc")
    header = json.loads(zipfile.ZipFile(tmp_path / "trace.moc").read("header.json"))
    arrays = {name: array for name, array in header["arrays"].items() if name != missing}
    with pytest.raises(TraceError, match="portrait"):
        read_trace(rewritten(tmp_path / "trace.moc", without=(missing,), arrays=arrays))


def test_older_files_that_know_nothing_of_places_are_read(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    write_trace(small_trace(), path)
    older = rewritten(path, without=("moments", "grid"))
    read = read_trace(older)
    assert (read.moments, read.boxes, read.grid) == ((), None, None)
    assert np.array_equal(read.table, small_trace().table)


@pytest.mark.parametrize(
    "changes",
    [
        {"moments": [0.5]},
        {"moments": "now"},
        {"moments": [None, None]},
        {"grid": [2, 2]},
        {"grid": [2]},
        {"grid": "all"},
    ],
)
def test_places_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    write_trace(placed(boxes=np.zeros((2, 2, 4)), grid=(2, 1)), tmp_path / "trace")
    assert read_trace(tmp_path / "trace").grid == (2, 1)
    with pytest.raises(TraceError):
        read_trace(rewritten(tmp_path / "trace", **changes))


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    write_trace(small_trace(), tmp_path / "one")
    write_trace(small_trace(), tmp_path / "two")
    write_trace(read_trace(tmp_path / "one"), tmp_path / "three")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one").read_bytes() == (tmp_path / "three").read_bytes()


def rewritten(path: Path, without: Sequence[str] = (), **changes: object) -> Path:
    """The trace with other header entries, some left out."""
    with zipfile.ZipFile(path) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    header = json.loads(parts["header.json"]) | changes
    parts["header.json"] = json.dumps({k: v for k, v in header.items() if k not in without}).encode()
    other = path.with_name("other")
    with zipfile.ZipFile(other, "w") as file:
        for name, data in parts.items():
            file.writestr(name, data)
    return other


def test_what_cannot_be_read_is_said_in_plain_words(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    with pytest.raises(TraceError, match="there is no routing trace"):
        read_trace(path)
    write_trace(small_trace(), path)
    with pytest.raises(TraceError, match="newer version"):
        read_trace(rewritten(path, version=99, arrays="of another kind"))
    with pytest.raises(TraceError, match="is no routing trace"):
        read_trace(rewritten(path, format="a film"))
    with pytest.raises(TraceError, match="cannot be read"):
        read_trace(tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"arrays": {}},
        {"arrays": None},
        {"query": [{"name": "x"}]},
        {"heads": [1]},
        {"heads": [None]},
        {"weights": [0]},
        {"token_run": 0},
        {"token_run": 2},
        {"context": 3},
        {"version": "one"},
        {"step_groups": [[1, 2, 3]]},
    ],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    write_trace(small_trace(), tmp_path / "trace")
    with pytest.raises(TraceError):
        read_trace(rewritten(tmp_path / "trace", **changes))


def test_damage_anywhere_is_noticed_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    trace = small_trace()
    write_trace(trace, path)
    whole = path.read_bytes()
    damaged = tmp_path / "damaged"
    for stop in range(0, len(whole), 97):
        damaged.write_bytes(whole[:stop])
        with pytest.raises(TraceError):
            read_trace(damaged)
    for at in range(0, len(whole), 13):
        damaged.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            read = read_trace(damaged)
        except TraceError:
            continue
        assert np.array_equal(read.table, trace.table)  # a byte that carries nothing


def test_a_bomb_is_refused_unopened(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb", "w", compression=zipfile.ZIP_DEFLATED) as file:
        for nth in range(3):
            file.writestr(f"{nth}", bytes(1 << 27))
    with pytest.raises(TraceError, match="too large"):
        read_trace(tmp_path / "bomb")
