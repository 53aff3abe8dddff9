"""Reading and denoising, layer by layer, on made-up projections."""

from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from moc_engine.config import RoutingConfig, Steering
from moc_engine.memory.context import ContextMemory
from moc_engine.memory.grid import TokenGrid
from moc_engine.memory.history import History
from moc_engine.models.wan_transformer import rotary_angles
from moc_engine.ops.rotary import apply_rotary
from moc_engine.render.denoising_pass import AttentionContext, DenoisingPass, choose_render_backend
from moc_engine.render.memory_pass import MemoryPass
from moc_engine.trace.record import ContextChunk, QueryChunk, RoutingTrace
from moc_engine.trace.recorder import TraceRecorder

CPU = torch.device("cpu")
LAYERS, HEADS, WIDTH, SLOTS = 2, 3, 12, 4
FRAMES = (2, 3, 1)


def angles(positions: Tensor) -> tuple[Tensor, Tensor]:
    return rotary_angles({"attention_head_dim": WIDTH}, *positions)


def grid(frames: int, chunking: Any = "track") -> TokenGrid:
    return TokenGrid(frames=frames, height=SLOTS, width=1, chunking=chunking)


def projections(tokens: int, seed: int, rows: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, rows, HEADS, tokens, WIDTH, generator=generator)
    return q, k, v


def history(routing: RoutingConfig, spoilt: int | None = None) -> History:
    """Three takes; the values of take `spoilt` are not numbers."""
    memory = ContextMemory()
    for take, frames in enumerate(FRAMES):
        tokens = grid(frames, routing.chunking)
        reading = MemoryPass(tokens, angles, routing.pooling, CPU, layers=LAYERS)
        for layer in range(LAYERS):
            q, k, v = projections(tokens.tokens, seed=10 * take + layer)
            reading.attend(layer, q, k, v * torch.nan if take == spoilt else v)
        read = reading.memory()
        memory.add(str(take), tokens.extent, lambda read=read: read)  # type: ignore[misc]
    past = memory.history()
    assert past is not None
    return past


def look(
    routing: RoutingConfig,
    steering: Steering | None = None,
    *,
    rows: int = 1,
    past: History | None = None,
    recorder: TraceRecorder | None = None,
    **options: Any,
) -> Tensor:
    tokens = grid(2, routing.chunking)
    context = AttentionContext(
        shot=3,
        grid=tokens,
        history=history(routing) if past is None else past,
        routing=routing,
        steering=steering or Steering(),
    )
    denoising = DenoisingPass(context, angles, CPU, rows=rows, **options)
    denoising.recorder = recorder
    denoising.begin(0)
    layers = [projections(tokens.tokens, 100 + layer, rows) for layer in range(LAYERS)]
    return torch.stack([denoising.attend(layer, *qkv) for layer, qkv in enumerate(layers)])


def recorder_for(routing: RoutingConfig, backend: str) -> TraceRecorder:
    chunks = [
        (take, name) for take, n in enumerate(FRAMES) for name in grid(n, routing.chunking).chunk_names(())
    ]
    own = grid(2, routing.chunking)
    return TraceRecorder(
        shot=3,
        model="model",
        backend=backend,
        routing={},
        steering={},
        query=[QueryChunk(name="chunk", frames=(0, 1), tokens=int(n)) for n in np.diff(own.extent.offsets)],
        context=[
            ContextChunk(kind="own", name="own shot", shot=3),
            *(ContextChunk(kind="history", name=name, shot=take, take=str(take)) for take, name in chunks),
        ],
        layers=LAYERS,
        heads=HEADS,
        steps=1,
    )


@pytest.mark.parametrize("chunking", ["track", "frame"])
@pytest.mark.parametrize("pooling", ["before", "after"])
@pytest.mark.parametrize(
    "steering",
    [Steering(), Steering(pins=(0,), bans=(1,)), Steering(boosts={2: 3.0}), Steering(pin_chunks=(1, 4))],
    ids=["free", "pinned and banned", "boosted", "pinned chunks"],
)
def test_backends_agree_and_record_the_same(chunking: Any, pooling: Any, steering: Steering) -> None:
    outs: list[Tensor] = []
    traces: list[RoutingTrace] = []
    for backend in ("naive", "grouped", "auto"):
        routing = RoutingConfig(top_k=2, chunking=chunking, pooling=pooling, backend=backend)
        recorder = recorder_for(routing, backend)
        outs.append(look(routing, steering, rows=2, recorder=recorder))
        traces.append(recorder.finish())
    for out, trace in zip(outs[1:], traces[1:], strict=True):
        torch.testing.assert_close(out, outs[0])
        np.testing.assert_allclose(trace.token_map(), traces[0].token_map(), atol=1e-4)
        np.testing.assert_array_equal(trace.picks, traces[0].picks)
    np.testing.assert_allclose(traces[0].token_map().sum(axis=-1), 1)
    shares = traces[0].shot_shares()
    assert all((shares[shot] == 0) for shot in steering.bans)
    assert all((shares[shot] > 0) for shot in steering.pins)


@pytest.mark.parametrize("backend", ["grouped", "auto"])
def test_a_history_too_large_to_copy_is_read_where_it_lies(backend: Any) -> None:
    routing = RoutingConfig(top_k=2, backend=backend)
    for steering in (Steering(), Steering(pins=(1,))):
        torch.testing.assert_close(
            look(routing, steering, rows=2, page_bytes=0), look(routing, steering, rows=2)
        )


@pytest.mark.parametrize("backend", ["naive", "grouped", "auto"])
def test_nothing_flows_from_a_banned_take(backend: Any) -> None:
    routing = RoutingConfig(top_k=2, backend=backend)
    out = look(routing, Steering(bans=(1,)), past=history(routing, spoilt=1))
    assert torch.equal(out, look(routing, Steering(bans=(1,))))


BANNED_AND_PINNED = Steering(bans=(1,), pins=(2,), boosts={0: 3.0})


@pytest.mark.parametrize("chunking", ["track", "frame"])
@pytest.mark.parametrize("backend", ["naive", "grouped", "gathered", "auto"])
def test_full_attention_is_as_if_every_chunk_that_may_be_chosen_were(backend: Any, chunking: Any) -> None:
    every = RoutingConfig(top_k=100, chunking=chunking, backend="naive")
    routed, full = recorder_for(every, "naive"), recorder_for(every, backend)
    expected = look(every, BANNED_AND_PINNED, rows=2, recorder=routed)
    routing = RoutingConfig(top_k=1, chunking=chunking, backend=backend, full_below=1000)
    past = history(routing, spoilt=1)
    out = look(routing, BANNED_AND_PINNED, rows=2, recorder=full, past=past)
    torch.testing.assert_close(out, expected)
    trace = full.finish()
    np.testing.assert_allclose(trace.token_map(), routed.finish().token_map(), atol=1e-4)
    assert not trace.picks.any()
    assert trace.shot_shares()[1] == 0 < trace.shot_shares()[0]


def test_attention_is_full_where_there_are_fewer_tokens_than_asked_for() -> None:
    def context(full_below: Any, steering: Steering | None = None) -> AttentionContext:
        routing = RoutingConfig(full_below=full_below)
        own, past = grid(2), history(routing)
        steered = steering or Steering()
        asked = AttentionContext(shot=3, grid=own, history=past, routing=routing, steering=steered)
        return DenoisingPass(asked, angles, CPU).context

    tokens = SLOTS * (2 + sum(FRAMES))
    assert not context(0).is_full
    assert not context(tokens).is_full
    assert context(tokens + 1).is_full
    assert (context(0).tokens, context(0, Steering(bans=(1,))).tokens) == (tokens, tokens - SLOTS * FRAMES[1])
    assert context(tokens, Steering(bans=(1,))).is_full
    measured = context("auto")
    assert isinstance(measured.routing.full_below, int)
    assert measured.is_full  # dense attention is faster for so few tokens
    pinned = context("auto", Steering(pins=(1,)))
    assert pinned.routing.full_below == measured.routing.full_below + SLOTS * FRAMES[1]


def test_entries_of_a_batch_choose_for_themselves() -> None:
    routing = RoutingConfig(top_k=2)
    both = look(routing, rows=2)
    assert not torch.allclose(both[:, 0], both[:, 1])
    torch.testing.assert_close(both[:, :1], look(routing, rows=2)[:, :1])


@pytest.mark.parametrize("chunking", ["track", "frame"])
def test_means_pooled_after_rotation_move_with_their_take(chunking: Any) -> None:
    """A query scores chunks as if their keys had been rotated where they stand, and pooled then."""
    routing = RoutingConfig(top_k=1, chunking=chunking, pooling="after")
    past = history(routing)
    turned = apply_rotary(past.k_NHTD, *angles(past.positions_3T))
    cuts = pairwise(past.layout.offsets.tolist())
    means = torch.stack([turned[:, :, first:stop].mean(dim=2) for first, stop in cuts], dim=2)
    recorder = recorder_for(routing, "auto")
    look(routing, past=past, recorder=recorder)
    picks = torch.tensor(recorder.finish().picks.astype(np.int64))  # layers, heads, 1, query, context

    own = grid(2, chunking)
    for layer in range(LAYERS):
        q, _, _ = projections(own.tokens, 100 + layer)
        q = apply_rotary(own.to_chunks(q, dim=2), *angles(own.positions_3T))
        best = (q[0] @ means[layer].transpose(1, 2)).argmax(dim=-1)  # heads, tokens
        for head in range(HEADS):
            chosen = torch.bincount(best[head], minlength=past.layout.chunks)
            assert torch.equal(picks[layer, head, 0, :, 1:].sum(dim=0), chosen)


def test_a_first_shot_attends_to_itself_alone() -> None:
    tokens = grid(2)
    context = AttentionContext(
        shot=0, grid=tokens, history=None, routing=RoutingConfig(backend="grouped"), steering=Steering()
    )
    q, k, v = projections(tokens.tokens, 0, rows=2)
    alone = DenoisingPass(context, angles, CPU, rows=2).attend(0, q, k, v)
    for row in range(2):
        one = slice(row, row + 1)
        read = MemoryPass(tokens, angles, "before", CPU, layers=1).attend(0, q[one], k[one], v[one])
        torch.testing.assert_close(alone[one], read)


def test_steering_without_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="pins: shot 3 is not a shot earlier than 3"):
        look(RoutingConfig(), Steering(pins=(3,)))
    with pytest.raises(ValueError, match="bans: shot 7"):
        look(RoutingConfig(), Steering(bans=(7,)))
    context = AttentionContext(
        shot=0, grid=grid(1), history=None, routing=RoutingConfig(), steering=Steering(boosts={0: 1.0})
    )
    with pytest.raises(ValueError, match="boosts: shot 0"):
        DenoisingPass(context, angles, CPU)


def test_auto_says_what_it_chose() -> None:
    def chosen(**routing: Any) -> str:
        config = RoutingConfig(**routing)
        context = AttentionContext(
            shot=3, grid=grid(2), history=history(config), routing=config, steering=Steering()
        )
        return DenoisingPass(context, angles, CPU).chosen.backend.name

    assert chosen() == "gathered"
    assert chosen(top_k=1000) == "gathered"
    far = AttentionContext(
        shot=3,
        grid=grid(2),
        history=history(RoutingConfig()),
        routing=RoutingConfig(),
        steering=Steering(),
    )
    assert choose_render_backend(far, 1, CPU).backend.name == "gathered"
    assert choose_render_backend(far, 1, torch.device("cuda")).backend.name == (
        "grouped" if find_spec("triton") is None else "triton"
    )
    assert chosen(backend="grouped") == "grouped"
    assert chosen(backend="naive") == "naive"


@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize("page_bytes", [0, 1 << 30])
def test_a_window_attends_to_the_latest_shot_alone(rows: int, page_bytes: int) -> None:
    """As MoC does with the others banned, where it may choose as many chunks as the latest shot has."""
    window = RoutingConfig(top_k=SLOTS, router="window")
    latest = look(replace(window, router="moc"), Steering(bans=(0, 1)), rows=rows, page_bytes=page_bytes)
    torch.testing.assert_close(look(window, rows=rows, page_bytes=page_bytes), latest)
    pinned = look(window, Steering(pins=(2,), bans=(0,)), rows=rows, page_bytes=page_bytes)
    torch.testing.assert_close(
        pinned, look(replace(window, router="moc"), Steering(pins=(2,), bans=(0,)), rows=rows)
    )
    assert not torch.allclose(pinned, latest)


def test_the_record_shows_what_another_router_chose() -> None:
    routing = RoutingConfig(top_k=1, chunking="frame", router="radial")
    recorder = recorder_for(routing, "naive")
    look(routing, recorder=recorder)
    shares = recorder.finish().shot_shares()
    assert shares[2] > 0
    assert shares[0] == shares[1] == 0
