"""Bytes of memories, predicted; against real ones in `tests/moc_engine/render/test_remembering.py`."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from moc_engine.config import MemoryConfig
from moc_engine.memory.estimate import PAGE_BYTES, MemoryModel, estimated_memory

WAN_1_3B = MemoryModel(layers=30, heads=12, head_size=128, frame_tokens=1560)
"""At 832 × 480."""

GIB = 1 << 30


def test_a_shot_of_480p_in_wan_1_3b() -> None:
    """832 × 480 and 81 frames: 21 latent frames of 1,560 tokens, 201 MB a layer."""
    model = WAN_1_3B
    full, small = MemoryConfig(), MemoryConfig(policy="change", keyframes=8, storage="int8")
    assert model.layer_bytes(21, full, stored=True) == 2 * 32_760 * 1536 * 2 == 201_277_440
    assert model.take_bytes(21, full) == pytest.approx(30 * 201_277_440, rel=0.001)
    assert model.take_bytes(21, small) == pytest.approx(30 * 201_277_440 * 8 / 21 / 2, rel=0.005)


def test_twelve_shots_with_keyframes_in_8_bits_fit_a_card_of_24_gb_and_64_gb_of_memory() -> None:
    model = WAN_1_3B
    small = MemoryConfig(policy="change", keyframes=8, storage="int8")
    found = estimated_memory(model, [21] * 11, small, device_budget=6 * GIB, host_budget=32 * GIB)
    assert found.disk == 0
    assert found.device <= 6 * GIB
    assert found.total == 11 * model.take_bytes(21, small)
    assert found.copied_per_step < 9 * GIB
    everything = estimated_memory(
        model, [21] * 11, MemoryConfig(), device_budget=6 * GIB, host_budget=32 * GIB
    )
    assert everything.disk > 0
    assert everything.read_per_step > 0


def test_takes_fill_the_device_then_main_memory_then_files() -> None:
    model = MemoryModel(layers=2, heads=2, head_size=8, frame_tokens=100)
    config = MemoryConfig()
    take = model.take_bytes(5, config)
    found = estimated_memory(
        model, [5] * 6, config, device_budget=2 * take, host_budget=3 * take, page_bytes=1000
    )
    assert (found.device, found.host, found.disk) == (2 * take, 3 * take, take)
    assert found.buffers == 1000 + 6 * model.beside_bytes(5, config)
    moved = model.layers * model.layer_bytes(5, config, stored=True)
    assert (found.copied_per_step, found.read_per_step) == (4 * moved, moved)
    on_cpu = estimated_memory(
        model, [5] * 6, config, device_budget=4 * take, host_budget=0, on_cpu=True, page_bytes=1000
    )
    assert (on_cpu.device, on_cpu.host, on_cpu.disk) == (0, 3 * take, 3 * take)  # buffers have a quarter
    assert (on_cpu.copied_per_step, on_cpu.read_per_step) == (0, 0)  # so little is copied side by side


def test_a_large_context_on_a_cpu_is_read_from_files_in_each_step() -> None:
    model = MemoryModel(layers=30, heads=12, head_size=128, frame_tokens=1560, itemsize=4)
    config = MemoryConfig()
    take = model.take_bytes(21, config)
    found = estimated_memory(
        model, [21] * 4, config, device_budget=2 * take + GIB, host_budget=0, on_cpu=True
    )
    assert (found.host, found.disk) == (2 * take, 2 * take)
    assert found.buffers == PAGE_BYTES + 4 * model.beside_bytes(21, config)
    moved = model.layers * model.layer_bytes(21, config, stored=True)
    assert (found.copied_per_step, found.read_per_step) == (0, 2 * moved)


def test_the_expert_that_denoises_has_the_device_before_the_other_one() -> None:
    one = MemoryModel(layers=2, heads=2, head_size=8, frame_tokens=100)
    two = replace(one, experts=2)
    config, take = MemoryConfig(), one.take_bytes(5, MemoryConfig())
    found, alone = (
        estimated_memory(
            model, [5] * 3, config, device_budget=2 * take, host_budget=3 * take, page_bytes=1000
        )
        for model in (two, one)
    )
    assert (found.device, found.host, found.disk) == (2 * take, 3 * take, take)
    assert (found.copied_per_step, found.read_per_step) == (alone.copied_per_step, 0)
    assert found.buffers == alone.buffers


def test_two_passes_read_the_context_twice() -> None:
    model = MemoryModel(layers=2, heads=2, head_size=8, frame_tokens=100)
    config = MemoryConfig()
    once, twice = (
        estimated_memory(
            model,
            [5] * 2,
            config,
            device_budget=0,
            host_budget=model.take_bytes(5, config),
            rows=rows,
            passes=passes,
            page_bytes=1000,
        )
        for rows, passes in ((2, 1), (1, 2))
    )
    assert twice.copied_per_step == 2 * once.copied_per_step > 0
    assert twice.read_per_step == 2 * once.read_per_step > 0


def test_a_small_context_is_copied_and_moves_nothing() -> None:
    model = MemoryModel(layers=2, heads=2, head_size=8, frame_tokens=4)
    found = estimated_memory(model, [5], MemoryConfig(), device_budget=0, host_budget=GIB)
    assert found.copied_per_step == found.read_per_step == 0
    whole = model.layers * model.layer_bytes(5, MemoryConfig(), stored=False)
    assert found.buffers == 3 * whole + model.beside_bytes(5, MemoryConfig())  # and for each entry of a batch


def test_nothing_is_remembered_of_nothing() -> None:
    model = MemoryModel(layers=2, heads=2, head_size=8, frame_tokens=4)
    found = estimated_memory(model, [], MemoryConfig(), device_budget=0, host_budget=0)
    assert found.total == found.buffers == 0


def test_predicting_needs_no_torch() -> None:
    program = "import sys; sys.modules['torch'] = None; import moc_engine.memory.estimate; print('done')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "done\n"
