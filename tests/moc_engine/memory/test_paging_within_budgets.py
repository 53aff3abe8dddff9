"""What a render holds in memory does not grow with the story, where its context pages from files."""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from moc_engine.memory.context import ContextMemory
from moc_engine.memory.paged_history import PagedHistory
from moc_engine.memory.pages import Pages
from moc_engine.memory.take_memory import Extent, TakeMemory

CPU = torch.device("cpu")
LAYERS, HEADS, WIDTH, CHUNKS, LENGTH = 6, 2, 16, 3, 128
TOKENS = CHUNKS * LENGTH
EXTENT = Extent(offsets=np.arange(CHUNKS + 1) * LENGTH, frames=CHUNKS)
TAKE = 2 * 4 * LAYERS * HEADS * TOKENS * WIDTH
"""Bytes of the keys and values of a take."""


def angles(positions: Tensor) -> tuple[Tensor, Tensor]:
    angle = positions[0].float()[..., None] * torch.ones(WIDTH // 2)
    return angle.cos(), angle.sin()


def read(take: int) -> TakeMemory:
    k, v = torch.randn(
        2, LAYERS, HEADS, TOKENS, WIDTH, generator=torch.Generator().manual_seed(take)
    ).unbind()
    return TakeMemory(
        k_NHTD=k.clone(),
        v_NHTD=v.clone(),
        means_NHCD=torch.zeros(LAYERS, HEADS, CHUNKS, WIDTH),
        positions_3T=torch.zeros(3, TOKENS, dtype=torch.int64),
    )


def story(takes: int, memory: ContextMemory) -> PagedHistory:
    for take in range(takes):
        memory.add(str(take), EXTENT, lambda take=take: read(take))  # type: ignore[misc]
    gathering = memory.gather([str(take) for take in range(takes)], most_bytes=0)
    while True:
        try:
            next(gathering)
        except StopIteration as stop:
            history: PagedHistory = stop.value
            return history


def live_bytes() -> int:
    """The bytes of all tensors that are there."""
    storages = [x.untyped_storage() for x in gc.get_objects() if type(x) is Tensor]
    return sum({one.data_ptr(): one.nbytes() for one in storages}.values())


def peak_of(takes: int, budget: int, spill: Path) -> tuple[int, int]:
    """The most bytes of tensors while two layers are brought in, and the bytes read."""
    gc.collect()
    before = live_bytes()
    memory = ContextMemory(budget=budget, spill=spill)
    pages = Pages(story(takes, memory), angles, CPU, TAKE // 4)
    most = 0
    for layer in range(2):
        for segment in pages.segments(layer):
            if segment.first % 12 == 0:
                most = max(most, live_bytes() - before)
    pages.close()
    return most, pages.traffic.read


def test_sixteen_shots_take_hardly_more_memory_than_two(tmp_path: Path) -> None:
    two, sixteen = peak_of(2, TAKE, tmp_path / "two"), peak_of(16, TAKE, tmp_path / "sixteen")
    small_parts = 14 * (LAYERS * HEADS * CHUNKS * WIDTH * 4 + 2 * TOKENS * 24)  # means and positions
    assert sixteen[0] <= two[0] + small_parts + TAKE // 20
    assert sixteen[0] < 2 * TAKE
    assert sixteen[1] > 6 * two[1]


def test_files_hold_what_the_budget_does_not(tmp_path: Path) -> None:
    memory = ContextMemory(budget=int(2.5 * TAKE), spill=tmp_path)
    history = story(5, memory)
    kept = [isinstance(take.k_NHTD, Tensor) for take in history.takes]
    assert kept == [True, True, False, False, False]
    assert memory.bytes <= 2.5 * TAKE
    assert len(list(tmp_path.iterdir())) == 3


def test_takes_of_other_contexts_make_room(tmp_path: Path) -> None:
    memory = ContextMemory(budget=int(2.5 * TAKE), spill=tmp_path)
    for take in "xy":
        memory.add(take, EXTENT, lambda: read(0))
        memory.recall(take)
    history = story(2, memory)
    assert all(isinstance(take.k_NHTD, Tensor) for take in history.takes)


def test_another_history_takes_the_room_of_the_one_before(tmp_path: Path) -> None:
    memory = ContextMemory(budget=int(2.5 * TAKE), spill=tmp_path)
    story(2, memory)
    for take in "xy":
        memory.add(take, EXTENT, lambda: read(7))
    gathering = memory.gather("xy", most_bytes=0)
    assert [next(gathering) for _ in range(2)] == ["x", "y"]
    with pytest.raises(StopIteration) as end:
        next(gathering)
    assert all(isinstance(take.k_NHTD, Tensor) for take in end.value.value.takes)
    assert memory.bytes <= 2.5 * TAKE
    assert len(list(tmp_path.iterdir())) == 2


def test_another_history_takes_the_place_of_one_beyond_the_budget() -> None:
    memory = ContextMemory(budget=0)
    story(3, memory)
    for take in "xy":
        memory.add(take, EXTENT, lambda: read(7))
    for _ in memory.gather("xy", most_bytes=0):
        pass
    assert 2 * TAKE <= memory.bytes < 3 * TAKE


def test_without_a_folder_a_context_is_held_whatever_the_budget() -> None:
    memory = ContextMemory(budget=0)
    history = story(3, memory)
    assert all(isinstance(take.k_NHTD, Tensor) for take in history.takes)
    assert memory.bytes > 3 * TAKE


@pytest.mark.parametrize("harm", [Path.unlink, lambda file: file.write_bytes(b"torn")])
def test_a_damaged_file_is_computed_anew_before_it_is_needed(tmp_path: Path, harm: object) -> None:
    memory = ContextMemory(budget=0, spill=tmp_path)
    story(2, memory)
    for file in tmp_path.iterdir():
        harm(file)  # type: ignore[operator]
    gathering = memory.gather(most_bytes=0)
    assert [next(gathering) for _ in range(2)] == ["0", "1"]
    with pytest.raises(StopIteration) as end:
        next(gathering)
    pages = Pages(end.value.value, angles, CPU, TAKE)
    (segment,) = pages.segments(0)
    assert torch.equal(segment.v_HTD[:, :TOKENS], read(0).v_NHTD[0])
