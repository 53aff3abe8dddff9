from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from moc_engine.memory.grid import TokenGrid
from moc_engine.ops.layout import by_track

SIDE = st.integers(1, 5)


@given(SIDE, SIDE, SIDE, st.sampled_from(("track", "frame")))
def test_there_and_back_is_the_same(frames: int, height: int, width: int, chunking: Any) -> None:
    grid = TokenGrid(frames=frames, height=height, width=width, chunking=chunking)
    tokens = torch.arange(2 * grid.tokens * 3).view(2, grid.tokens, 3)
    assert torch.equal(grid.to_model(grid.to_chunks(tokens, dim=1), dim=1), tokens)
    assert grid.extent.tokens == grid.tokens == frames * height * width
    assert grid.extent.frames == frames
    assert len(grid.chunk_frames()) == len(grid.chunk_names(())) == grid.extent.chunks


@given(SIDE, SIDE, SIDE)
def test_the_chunk_order_is_that_of_the_layout(frames: int, height: int, width: int) -> None:
    grid = TokenGrid(frames=frames, height=height, width=width, chunking="track")
    layout, order = by_track([frames], height * width)
    assert np.array_equal(grid.extent.offsets, layout.offsets)
    assert torch.equal(grid.to_chunks(torch.arange(grid.tokens), dim=0), torch.tensor(order))


def test_positions_stand_in_chunk_order() -> None:
    by_frame, by_track = (
        TokenGrid(frames=2, height=3, width=1, chunking=chunking).positions_3T.tolist()
        for chunking in ("frame", "track")
    )
    assert by_frame == [[0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2], [0] * 6]
    assert by_track == [[0, 1, 0, 1, 0, 1], [0, 0, 1, 1, 2, 2], [0] * 6]


@pytest.mark.parametrize(
    ("chunking", "names", "frames"),
    [
        ("track", ["sky", "sea"], [(0, 3), (0, 3)]),
        ("frame", ["frame 1", "frame 2", "frame 3"], [(0, 1), (1, 2), (2, 3)]),
    ],
)
def test_chunks_have_names_and_frames(chunking: Any, names: list[str], frames: list[tuple[int, int]]) -> None:
    grid = TokenGrid(frames=3, height=2, width=1, chunking=chunking)
    assert grid.chunk_names(["sky", "sea"]) == names
    assert grid.chunk_frames() == frames
