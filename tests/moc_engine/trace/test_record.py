from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from moc_engine.errors import TraceError
from moc_engine.trace.record import EMPTY, ContextChunk, Portraits, QueryChunk, RoutingTrace, in_units
from moc_engine.trace.recorder import TraceRecorder

NAMES = ("Mira", "the ball")


def small_trace(*, captions: bool = False, take: str = "take-0") -> RoutingTrace:
    """Shot 2 after two shots: 2 layers, 2 heads, 4 steps in 4 groups, everything set by hand."""
    query = [QueryChunk(name=name, frames=(0, 3), tokens=n) for name, n in zip(NAMES, (3, 1), strict=True)]
    context = [ContextChunk(kind="own", name=name, shot=2, frames=(0, 3)) for name in NAMES]
    context += [
        ContextChunk(kind="history", name=name, shot=shot, take=f"take-{shot}", frames=(0, 3))
        for shot in (0, 1)
        for name in NAMES
    ]
    if captions:
        context.append(ContextChunk(kind="caption", name="caption", shot=2))
    recorder = TraceRecorder(
        shot=2,
        model="animatic",
        backend="grouped",
        routing={"top_k": 1},
        steering={"boosts": {0: 1.5}, "pins": [1]},
        query=query,
        context=context,
        layers=2,
        heads=2,
        steps=4,
    )
    for step in range(4):
        recorder.begin(step)
        for layer in range(2):
            own = torch.full((2, 4, 2), 0.25)
            own[:, 0] = 0.3  # the first token looks at its own shot more
            routed = torch.full((2, 4, 1), 0.25)
            routed[:, 0] = 0.15
            indices = torch.full((2, 4, 1), layer)  # layer 0 chooses Mira in shot 0, layer 1 the ball
            rest = 1 - own.sum(dim=-1) - routed[..., 0]
            if captions:
                recorder.add(layer=layer, own=own, routed=routed, indices=indices, captions=rest[..., None])
            else:
                pinned = torch.stack((rest * 0.75, rest * 0.25), dim=-1)
                recorder.add(
                    layer=layer,
                    own=own,
                    routed=routed,
                    indices=indices,
                    pinned=pinned,
                    pins=(2, 3),
                )
    return recorder.finish()


def test_shares_are_sliced_and_sum_to_one() -> None:
    trace = small_trace()
    own, first, second = trace.own_share(), *trace.shot_shares().values()
    assert own == pytest.approx(0.5 * 0.75 + 0.6 * 0.25, abs=1e-4)
    assert first == pytest.approx(0.25 * 0.75 + 0.15 * 0.25, abs=1e-4)
    assert second == pytest.approx(0.25, abs=1e-4)
    assert own + first + second == pytest.approx(1, abs=1e-12)
    assert trace.caption_share() is None
    assert trace.shares(layer=0)[2:4] == pytest.approx([first, 0], abs=1e-4)
    assert trace.shares(layer=1)[2:4] == pytest.approx([0, first], abs=1e-4)
    assert trace.shares(query=1) == pytest.approx([0.25, 0.25, 0.125, 0.125, 0.1875, 0.0625], abs=1e-4)
    assert trace.by_layer().sum(axis=-1) == pytest.approx(1)
    assert trace.by_query()[1] == pytest.approx(trace.shares(query=1))
    assert trace.shares(layer=1, head=0, group=3, query=0).sum() == pytest.approx(1)


def test_links_name_shot_take_and_share() -> None:
    strong, weak = small_trace().links()
    assert (strong.shot, strong.source, strong.take) == (2, 1, "take-1")
    assert (weak.source, weak.take) == (0, "take-0")
    assert strong.share > weak.share > 0.2


def test_the_strongest_hold_is_by_part_of_the_picture() -> None:
    trace = small_trace()
    second = trace.query[1].name  # of what it drew from the past, as much came from either take
    first = trace.by_query()[0]
    assert trace.strongest() == {
        "take-0": (second, pytest.approx(0.5, abs=1e-3)),
        "take-1": (trace.query[0].name, pytest.approx(first[4:].sum() / first[2:].sum(), abs=1e-3)),
    }
    nobody = tuple(replace(chunk, name=f"{chunk.name}{EMPTY}") for chunk in trace.query)
    assert replace(trace, query=nobody).strongest() == {"take-0": ("", 0.0), "take-1": ("", 0.0)}


def test_captions_in_the_sequence_have_their_share() -> None:
    trace = small_trace(captions=True)
    captions = trace.caption_share()
    assert captions is not None
    assert captions == pytest.approx(0.25 * 0.75 + 0.25 * 0.25, abs=1e-4)
    assert trace.own_share() + captions + sum(trace.shot_shares().values()) == pytest.approx(1)
    assert [link.source for link in trace.links()] == [0]


def test_the_token_map_averages_layers_heads_and_steps() -> None:
    trace = small_trace()
    shares = trace.token_map()
    assert shares.shape == (4, 6)
    assert shares[0] == pytest.approx([0.3, 0.3, 0.075, 0.075, 0.1875, 0.0625], abs=1e-4)
    assert shares[3] == pytest.approx(trace.shares(query=1), abs=1e-4)
    assert trace.token_runs() == ((0, 0, 1), (0, 1, 2), (0, 2, 3), (1, 0, 1))


def test_picks_count_what_was_routed() -> None:
    trace = small_trace()
    assert trace.counts().tolist() == [0, 0, 32, 32, 0, 0]
    assert trace.counts(layer=0, query=0).tolist() == [0, 0, 24, 0, 0, 0]
    assert trace.counts(layer=0, head=1, group=0, query=1).tolist() == [0, 0, 1, 0, 0, 0]


def test_a_saved_trace_is_read_as_it_was(tmp_path: Path) -> None:
    trace = small_trace(captions=True)
    trace.save(tmp_path / "trace")
    read = RoutingTrace.load(tmp_path / "trace")
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
    placed(boxes=boxes).save(tmp_path / "trace")
    read = RoutingTrace.load(tmp_path / "trace")
    assert read.moments == (0.25, 0.75)
    assert read.boxes is not None
    assert read.boxes == pytest.approx(boxes, abs=1 / 65535)
    assert not read.boxes[0, 1].any()
    assert read.grid is None
    read.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "trace").read_bytes()


def test_a_grid_is_read_as_it_was(tmp_path: Path) -> None:
    placed(grid=(1, 2)).save(tmp_path / "trace")
    read = RoutingTrace.load(tmp_path / "trace")
    assert (read.grid, read.moments, read.boxes) == ((1, 2), (0.25, 0.75), None)


def test_portraits_are_read_as_they_were(tmp_path: Path) -> None:
    trace = small_trace()
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2, 5)).astype(np.float16).astype(np.float64)
    shares = rng.dirichlet(np.ones(len(trace.context)), 2)
    portraits = Portraits(names=("Mira", "Otto"), vectors=vectors, shares=shares)
    replace(trace, portraits=portraits).save(tmp_path / "trace.moc")
    read = RoutingTrace.load(tmp_path / "trace.moc").portraits
    assert read is not None
    assert read.names == portraits.names
    assert np.array_equal(read.vectors, vectors)
    assert np.allclose(read.shares, shares, atol=2e-5)
    for wrong in (
        replace(portraits, names=("Mira",)),
        replace(portraits, names=("Mira", "Mira")),
        replace(portraits, vectors=np.full_like(vectors, np.nan)),
    ):
        replace(trace, portraits=wrong).save(tmp_path / "trace.moc")
        with pytest.raises(TraceError, match="portraits"):
            RoutingTrace.load(tmp_path / "trace.moc")


@pytest.mark.parametrize("missing", ["portraits", "portrait_shares"])
def test_half_a_portrait_is_damage(tmp_path: Path, missing: str) -> None:
    trace = small_trace()
    shares = np.full((1, len(trace.context)), 1 / len(trace.context))
    told = Portraits(names=("Mira",), vectors=np.ones((1, 5)), shares=shares)
    replace(trace, portraits=told).save(tmp_path / "trace.moc")
    header = json.loads(zipfile.ZipFile(tmp_path / "trace.moc").read("header.json"))
    arrays = {name: array for name, array in header["arrays"].items() if name != missing}
    with pytest.raises(TraceError, match="portrait"):
        RoutingTrace.load(rewritten(tmp_path / "trace.moc", without=(missing,), arrays=arrays))


def test_what_tokens_looked_at_is_weighed() -> None:
    trace = small_trace()
    tokens = sum(chunk.tokens for chunk in trace.query)
    even = trace.attended_by(np.ones(tokens))
    assert even == pytest.approx(trace.shares(), abs=1e-3)
    chunks = np.repeat(np.arange(len(trace.query)), [chunk.tokens for chunk in trace.query])
    first = trace.attended_by(3.0 * (chunks == 0))
    assert first == pytest.approx(trace.shares(query=0), abs=1e-3)
    runs = replace(trace, token_run=2, token_table=trace.token_table[[at for at, *_ in _runs_of_two(trace)]])
    assert runs.attended_by(np.ones(tokens)).sum() == pytest.approx(1.0)


def _runs_of_two(trace: RoutingTrace) -> list[tuple[int, int]]:
    """The first token of each run of two within a chunk, and how many it has."""
    runs, start = [], 0
    for chunk in trace.query:
        runs += [(start + at, min(2, chunk.tokens - at)) for at in range(0, chunk.tokens, 2)]
        start += chunk.tokens
    return runs


def test_older_files_that_know_nothing_of_places_are_read(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    small_trace().save(path)
    older = rewritten(path, without=("moments", "grid"))
    read = RoutingTrace.load(older)
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
    placed(boxes=np.zeros((2, 2, 4)), grid=(2, 1)).save(tmp_path / "trace")
    assert RoutingTrace.load(tmp_path / "trace").grid == (2, 1)
    with pytest.raises(TraceError):
        RoutingTrace.load(rewritten(tmp_path / "trace", **changes))


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    small_trace().save(tmp_path / "one")
    small_trace().save(tmp_path / "two")
    RoutingTrace.load(tmp_path / "one").save(tmp_path / "three")
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
        RoutingTrace.load(path)
    small_trace().save(path)
    with pytest.raises(TraceError, match="newer version"):
        RoutingTrace.load(rewritten(path, version=99, arrays="of another kind"))
    with pytest.raises(TraceError, match="is no routing trace"):
        RoutingTrace.load(rewritten(path, format="a film"))
    with pytest.raises(TraceError, match="cannot be read"):
        RoutingTrace.load(tmp_path)


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
    small_trace().save(tmp_path / "trace")
    with pytest.raises(TraceError):
        RoutingTrace.load(rewritten(tmp_path / "trace", **changes))


def test_damage_anywhere_is_noticed_or_harmless(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    trace = small_trace()
    trace.save(path)
    whole = path.read_bytes()
    damaged = tmp_path / "damaged"
    for stop in range(0, len(whole), 97):
        damaged.write_bytes(whole[:stop])
        with pytest.raises(TraceError):
            RoutingTrace.load(damaged)
    for at in range(0, len(whole), 13):
        damaged.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            read = RoutingTrace.load(damaged)
        except TraceError:
            continue
        assert np.array_equal(read.table, trace.table)  # a byte that carries nothing


def test_a_bomb_is_refused_unopened(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "bomb", "w", compression=zipfile.ZIP_DEFLATED) as file:
        for nth in range(3):
            file.writestr(f"{nth}", bytes(1 << 27))
    with pytest.raises(TraceError, match="too large"):
        RoutingTrace.load(tmp_path / "bomb")


@given(st.integers(1, 700), st.integers(1, 5), st.integers(0, 999), st.floats(0.01, 10))
def test_rounded_shares_sum_to_one_and_stay_near(width: int, rows: int, seed: int, spread: float) -> None:
    shares = np.random.default_rng(seed).dirichlet(np.full(width, spread), size=rows)
    shares /= shares.sum(axis=-1, keepdims=True)
    units = in_units(shares)
    assert (units.sum(axis=-1, dtype=np.int64) == 65535).all()
    assert np.abs(units / 65535 - shares).max() <= 1.01 / 65535
    assert np.array_equal(in_units(units / 65535), units)
