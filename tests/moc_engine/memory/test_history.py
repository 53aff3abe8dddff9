"""Where remembered takes stand in time before a shot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from moc_engine.config import RoutingConfig, Steering
from moc_engine.memory.context import ContextMemory
from moc_engine.memory.grid import TokenGrid
from moc_engine.memory.history import History, Timing
from moc_engine.models.wan_transformer import rotary_angles
from moc_engine.ops.rotary import apply_rotary
from moc_engine.ops.routing import chunk_means
from moc_engine.render.denoising_pass import AttentionContext, DenoisingPass
from moc_engine.render.memory_pass import MemoryPass

CPU = torch.device("cpu")
WIDTH, HEADS, SLOTS = 12, 2, 3
FRAMES = (4, 2)


def angles(positions: Tensor) -> tuple[Tensor, Tensor]:
    return rotary_angles({"attention_head_dim": WIDTH}, *positions)


def grid(frames: int, chunking: Any) -> TokenGrid:
    return TokenGrid(frames=frames, height=SLOTS, width=1, chunking=chunking)


def projections(tokens: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    q, k, v = torch.randn(3, 1, HEADS, tokens, WIDTH, generator=torch.Generator().manual_seed(seed))
    return q, k, v


def history(chunking: Any, timing: Timing, pooling: Any = "after") -> History:
    memory = ContextMemory()
    for nth, frames in enumerate(FRAMES):
        tokens = grid(frames, chunking)
        reading = MemoryPass(tokens, angles, pooling, CPU, layers=1)
        reading.attend(0, *projections(tokens.tokens, nth))
        read = reading.memory()
        memory.add(str(nth), tokens.extent, lambda read=read: read)  # type: ignore[misc]
    past = memory.history(timing=timing)
    assert past is not None
    return past


@pytest.mark.parametrize(
    ("timing", "times"),
    [
        (Timing(), [-6, -5, -4, -3, -2, -1]),
        (Timing(positions="restart"), [-4, -3, -2, -1, -2, -1]),
        (Timing(positions="clamp", trained=3), [-3, -3, -3, -3, -2, -1]),
        (Timing(positions="clamp", trained=9), [-6, -5, -4, -3, -2, -1]),
        (Timing(positions="clamp", trained=0), [0, 0, 0, 0, 0, 0]),
        (Timing(between=2), [-8, -7, -6, -5, -4, -3]),
        (Timing(positions="restart", between=2), [-6, -5, -4, -3, -4, -3]),
        (Timing(positions="clamp", trained=3, between=2), [-5, -5, -5, -5, -4, -3]),
    ],
)
def test_frames_stand_at_their_times(timing: Timing, times: list[int]) -> None:
    past = history("frame", timing)
    assert past.positions_3T[0].tolist() == np.repeat(times, SLOTS).tolist()
    assert past.positions_3T[1].tolist() == [0, 1, 2] * 6
    assert past.start_C.tolist() == (np.array(times) - [0, 1, 2, 3, 0, 1]).tolist()


def test_tracks_move_as_a_whole() -> None:
    past = history("track", Timing(positions="clamp", trained=3))
    assert past.positions_3T[0].tolist() == [-3, -2, -1, 0] * SLOTS + [-2, -1] * SLOTS
    assert past.start_C.tolist() == [-3] * SLOTS + [-2] * SLOTS


@pytest.mark.parametrize("chunking", ["frame", "track"])
@pytest.mark.parametrize(
    "timing", [Timing(), Timing(positions="restart"), Timing(positions="clamp", trained=3)]
)
def test_attention_and_routing_are_those_of_keys_rotated_to_these_times(
    chunking: Any, timing: Timing
) -> None:
    """Against keys rotated by the angles of their times, of which means are taken."""
    past, own = history(chunking, timing), grid(2, chunking)
    turned = apply_rotary(past.k_NHTD[0], *angles(past.positions_3T))
    means = chunk_means(turned[None], past.layout)
    q, k, v = projections(own.tokens, 9)
    q, k, v = (own.to_chunks(x, dim=2) for x in (q, k, v))
    q, k = (apply_rotary(x, *angles(own.positions_3T)) for x in (q, k))
    best = (q @ means.transpose(2, 3)).argmax(dim=-1)
    of_token = torch.from_numpy(past.layout.token_chunk)
    mask = torch.cat(
        (torch.ones(*q.shape[:3], own.tokens, dtype=torch.bool), best[..., None] == of_token), -1
    )
    keys, values = torch.cat((k, turned[None]), dim=2), torch.cat((v, past.v_NHTD[:1]), dim=2)
    expected = torch.nn.functional.scaled_dot_product_attention(q, keys, values, attn_mask=mask)

    context = AttentionContext(
        shot=2,
        grid=own,
        history=past,
        routing=RoutingConfig(top_k=1, chunking=chunking, pooling="after", backend="grouped"),
        steering=Steering(),
    )
    out = DenoisingPass(context, angles, CPU).attend(0, *projections(own.tokens, 9))
    torch.testing.assert_close(out, own.to_model(expected, dim=2))
