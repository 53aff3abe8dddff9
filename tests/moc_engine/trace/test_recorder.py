from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from moc_engine.trace.record import ContextChunk, QueryChunk
from moc_engine.trace.recorder import SHARES_AT_ONCE, TraceRecorder
from moc_engine.trace.trace_file import read_trace, write_trace


def recorder(
    *,
    chunks: int = 2,
    tokens: int = 3,
    history: int = 4,
    layers: int = 1,
    heads: int = 2,
    steps: int = 1,
    may_skip: bool = False,
) -> TraceRecorder:
    return TraceRecorder(
        shot=9,
        model="model",
        backend="grouped",
        routing={},
        steering={},
        query=[QueryChunk(name=f"{n}", frames=(0, tokens), tokens=tokens) for n in range(chunks)],
        context=[ContextChunk(kind="own", name=f"{n}", shot=9, frames=(0, tokens)) for n in range(chunks)]
        + [
            ContextChunk(kind="history", name=f"{n}", shot=n // chunks, take=f"{n // chunks:016x}")
            for n in range(history)
        ],
        layers=layers,
        heads=heads,
        steps=steps,
        may_skip=may_skip,
    )


def drawn(
    generator: np.random.Generator, heads: int, tokens: int, own: int, history: int, K: int
) -> dict[str, Any]:
    """Random shares over own and K different history chunks, some of them missing."""
    indices = generator.permuted(np.tile(np.arange(history), (heads, tokens, 1)), axis=-1)[..., :K]
    indices[generator.random(indices.shape) < 0.2] = -1
    shares = generator.gamma(0.5, size=(heads, tokens, own + K)) + 1e-6
    shares[..., own:][indices < 0] = 0
    whole = torch.tensor(shares / shares.sum(axis=-1, keepdims=True))
    return {"own": whole[..., :own], "routed": whole[..., own:], "indices": torch.tensor(indices)}


def test_the_table_is_the_mean_over_tokens_heads_and_steps() -> None:
    generator = np.random.default_rng(0)
    recording = recorder(layers=2, steps=9)
    dense = np.zeros((2, 2, 9, 6, 6))  # layers, heads, steps, tokens, context
    for step in range(9):
        recording.begin(step)
        for layer in range(2):
            drawing = drawn(generator, 2, 6, 2, 4, 3)
            recording.add(layer=layer, **drawing)
            dense[layer, :, step, :, :2] = drawing["own"]
            heads, tokens, nth = np.nonzero(drawing["indices"].numpy() >= 0)
            column = 2 + drawing["indices"][heads, tokens, nth]
            dense[layer, heads, step, tokens, column] = drawing["routed"][heads, tokens, nth]
    trace = recording.finish()
    assert trace.step_groups == ((0, 3), (3, 5), (5, 7), (7, 9))
    assert trace.weights == (3, 2, 2, 2)
    for group, (first, stop) in enumerate(trace.step_groups):
        for query in range(2):
            expected = dense[:, :, first:stop, 3 * query : 3 * query + 3].mean(axis=(2, 3))
            assert trace.table[:, :, group, query] / 65535 == pytest.approx(expected, abs=2e-5)
    assert trace.token_map() == pytest.approx(dense.mean(axis=(0, 1, 2)), abs=2e-5)
    assert trace.shares() == pytest.approx(dense.mean(axis=(0, 1, 2, 3)), abs=2e-5)
    assert trace.by_layer() == pytest.approx(dense.mean(axis=(1, 2, 3)), abs=2e-5)


def test_steps_that_were_not_recorded_are_left_out() -> None:
    recording = recorder(steps=8)
    for step in (0, 1, 7):
        recording.begin(step)
        recording.add(layer=0, **drawn(np.random.default_rng(step), 2, 6, 2, 4, 3))
    trace = recording.finish()
    assert trace.step_groups == ((0, 2), (6, 8))
    assert trace.weights == (2, 1)


def test_half_a_recording_is_no_trace() -> None:
    with pytest.raises(ValueError, match="nothing recorded"):
        recorder().finish()
    recording = recorder(layers=2)
    recording.begin(0)
    recording.add(layer=0, **drawn(np.random.default_rng(0), 2, 6, 2, 4, 3))
    with pytest.raises(ValueError, match="layer 1"):
        recording.finish()


def test_wrong_shapes_are_named() -> None:
    drawing = drawn(np.random.default_rng(0), 2, 6, 2, 4, 3)
    with pytest.raises(ValueError, match=r"^own: "):
        recorder().add(layer=0, **drawing | {"own": drawing["own"][:, 1:]})
    with pytest.raises(ValueError, match=r"^routed: "):
        recorder().add(layer=0, **drawing | {"routed": drawing["routed"][..., 1:]})
    with pytest.raises(ValueError, match=r"^context: "):
        own = ContextChunk(kind="own", name="", shot=0)
        query = [QueryChunk(name="", frames=(0, 1), tokens=1)]
        TraceRecorder(
            shot=0,
            model="",
            backend="",
            routing={},
            steering={},
            query=query,
            context=[ContextChunk(kind="caption", name="", shot=0), own],
            layers=1,
            heads=1,
            steps=1,
        )


@pytest.mark.parametrize("fed", [0.9, 1.1, np.nan])
def test_shares_that_are_not_whole_are_refused_at_the_end(fed: float) -> None:
    whole = drawn(np.random.default_rng(0), 2, 6, 2, 4, 3)
    wrong = {name: whole[name].clone() for name in ("own", "routed")}
    for shares in wrong.values():
        shares[1, 4] *= fed
    recording = recorder(layers=3)
    recording.begin(0)
    for layer, drawing in enumerate((whole, whole | wrong, whole)):
        recording.add(layer=layer, **drawing)
    with pytest.raises(ValueError, match=f"a query's shares must sum to 1, got {fed:.3g}"):
        recording.finish()


def test_shares_beside_whole_ones_are_refused() -> None:
    whole = drawn(np.random.default_rng(0), 2, 6, 2, 4, 3)
    recording = recorder()
    recording.begin(0)
    recording.add(layer=0, **whole, pinned=torch.full((2, 6, 1), 0.1), pins=[0])
    with pytest.raises(ValueError, match=r"a query's shares must sum to 1, got 1\.1"):
        recording.finish()


def test_layers_that_are_added_head_by_head_sum_up_to_the_same() -> None:
    """As wide as those of a 14B model, which are not added at once."""
    tokens = SHARES_AT_ONCE // 12
    alike = drawn(np.random.default_rng(0), 1, tokens, 1, 4, 3)
    many = {name: x.expand(4, -1, -1) for name, x in alike.items()}
    traces = []
    for heads, drawing in ((1, alike), (4, many)):
        recording = recorder(chunks=1, tokens=tokens, heads=heads)
        recording.begin(0)
        recording.add(layer=0, **drawing)
        traces.append(recording.finish())
    one, four = traces
    assert (four.table == one.table).all()
    assert (four.picks == one.picks).all()
    assert (four.token_table == one.token_table).all()


def test_a_first_shot_keeps_all_to_itself() -> None:
    recording = recorder(history=0)
    own = torch.full((2, 6, 2), 0.5)
    nothing = torch.zeros(2, 6, 0)
    recording.begin(0)
    recording.add(layer=0, own=own, routed=nothing, indices=nothing.long())
    trace = recording.finish()
    assert trace.own_share() == 1
    assert trace.links() == ()


def test_a_shot_of_a_64_shot_story_stays_under_two_megabytes(tmp_path: Path) -> None:
    """Six layers, eight heads, four groups of steps, 8 query and 520 context chunks, routed at random."""
    generator = np.random.default_rng(0)
    recording = recorder(chunks=8, tokens=20, history=512, layers=6, heads=8, steps=8)
    for step in range(8):
        recording.begin(step)
        for layer in range(6):
            recording.add(layer=layer, **drawn(generator, 8, 160, 8, 512, 5))
    trace = recording.finish()
    assert trace.table.shape == (6, 8, 4, 8, 520)
    assert trace.token_run == 1
    write_trace(trace, tmp_path / "trace")
    assert (tmp_path / "trace").stat().st_size < 2_000_000
    read = read_trace(tmp_path / "trace")
    assert read.token_map().sum(axis=-1) == pytest.approx(1, abs=1e-9)
    assert read.own_share() + sum(read.shot_shares().values()) == pytest.approx(1, abs=1e-9)


def test_a_large_token_map_is_averaged_over_runs_of_tokens(tmp_path: Path) -> None:
    """As of a 1.3B video model: 21 frames of 1560 tokens over 168 context chunks."""
    recording = recorder(chunks=21, tokens=1560, history=147, layers=2, heads=1)
    indices = torch.randint(0, 147, (1, 21 * 1560, 1), generator=torch.Generator().manual_seed(0))
    own, routed = torch.full((1, 21 * 1560, 21), 0.75 / 21), torch.full((1, 21 * 1560, 1), 0.25)
    recording.begin(0)
    for layer in range(2):
        recording.add(layer=layer, own=own, routed=routed, indices=indices)
    trace = recording.finish()
    assert trace.token_run == 2
    assert trace.token_map().shape == (21 * 780, 168)
    assert trace.token_map().sum(axis=-1) == pytest.approx(1)
    assert trace.own_share() == pytest.approx(0.75, abs=5e-4)
    write_trace(trace, tmp_path / "trace")
    assert (tmp_path / "trace").stat().st_size < 8_000_000


def test_a_large_table_is_averaged_over_steps_and_heads(tmp_path: Path) -> None:
    """As of a 14B video model: 40 layers of 40 heads, 21 query and 168 context chunks."""
    generator = np.random.default_rng(0)
    recording = recorder(chunks=21, tokens=1, history=147, layers=40, heads=40, steps=50)
    recording.begin(0)
    for layer in range(40):
        recording.add(layer=layer, **drawn(generator, 40, 21, 21, 147, 5))
    trace = recording.finish()
    assert trace.step_groups == ((0, 50),)
    assert trace.heads == (2,) * 20
    assert trace.shares().sum() == pytest.approx(1)
    write_trace(trace, tmp_path / "trace")
    assert (tmp_path / "trace").stat().st_size < 12_000_000


def test_layers_that_were_skipped_are_named_and_show_what_they_attended_to_before() -> None:
    generator = np.random.default_rng(0)
    recording = recorder(layers=2, steps=8, may_skip=True)
    whole = recorder(layers=2, steps=8)
    for step in range(8):
        for one in (recording, whole):
            one.begin(step)
        for layer in range(2):
            drawing = drawn(generator, 2, 6, 2, 4, 3)
            whole.add(layer=layer, **drawing)
            if layer == 0 or step < 3:  # four groups of two steps
                recording.add(layer=layer, **drawing)
    trace, full = recording.finish(), whole.finish()

    assert trace.routing["skipped"] == [[step, [1]] for step in range(3, 8)]
    assert np.array_equal(trace.table[0], full.table[0])
    assert np.array_equal(trace.table[1, :, 0], full.table[1, :, 0])
    for group in (2, 3):
        assert np.array_equal(trace.table[1, :, group], trace.table[1, :, 1])
        assert np.array_equal(trace.picks[1, :, group], trace.picks[1, :, 1])
    assert "skipped" not in full.routing


def test_a_layer_that_never_ran_is_an_error_even_where_layers_may_be_skipped() -> None:
    recording = recorder(layers=2, steps=2, may_skip=True)
    for step in range(2):
        recording.begin(step)
        recording.add(layer=0, **drawn(np.random.default_rng(0), 2, 6, 2, 4, 3))
    with pytest.raises(ValueError, match="layer 1 was not recorded"):
        recording.finish()
