"""A paged history equals the takes' keys and values side by side, wherever they lie."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from moc_engine.memory.history import Timing, history_layout
from moc_engine.memory.paged_history import PagedHistory, paged_history
from moc_engine.memory.pages import Pages
from moc_engine.memory.scaling import quantise, scale_groups
from moc_engine.memory.spilled import spill
from moc_engine.memory.take_memory import Extent, Scales, TakeMemory
from moc_engine.models.wan_transformer import rotary_angles
from moc_engine.ops.rotary import apply_rotary

CPU = torch.device("cpu")
LAYERS, HEADS, WIDTH = 3, 2, 12
CHUNKS = ((4, 4, 4), (5, 5), (2, 2, 2, 2))


def angles(positions: Tensor) -> tuple[Tensor, Tensor]:
    return rotary_angles({"attention_head_dim": WIDTH}, *positions)


def take(nth: int, storage: str, dtype: torch.dtype = torch.float32) -> TakeMemory:
    generator = torch.Generator().manual_seed(nth)
    tokens, chunks = sum(CHUNKS[nth]), len(CHUNKS[nth])
    k, v = torch.randn(2, LAYERS, HEADS, tokens, WIDTH, generator=generator).to(dtype)
    rest: dict[str, Any] = {
        "means_NHCD": torch.randn(LAYERS, HEADS, chunks, WIDTH, generator=generator),
        "positions_3T": torch.arange(3 * tokens).view(3, -1) % 7,
    }
    if storage == "full":
        return TakeMemory(k_NHTD=k, v_NHTD=v, **rest)
    groups = scale_groups(np.cumsum([0, *CHUNKS[nth]]))
    (k8, k_scales), (v8, v_scales) = quantise(k, groups), quantise(v, groups)
    scales = Scales(k_NHGD=k_scales, v_NHGD=v_scales, offsets=groups, dtype=dtype)
    return TakeMemory(k_NHTD=k8, v_NHTD=v8, scales=scales, **rest)


def paged(
    takes: list[TakeMemory], spilled: tuple[int, ...], folder: Path, device: torch.device = CPU
) -> PagedHistory:
    extents = [Extent(offsets=np.cumsum([0, *chunks]), frames=len(chunks)) for chunks in CHUNKS]
    kept = [
        spill(memory, folder / f"{nth}.safetensors") if nth in spilled else memory
        for nth, memory in enumerate(takes)
    ]
    return paged_history(kept, extents, history_layout(extents, range(3)), Timing(), device)


def expected(takes: list[TakeMemory], history: PagedHistory) -> tuple[Tensor, Tensor]:
    """Keys, rotated, and values of all takes, side by side."""
    whole = [memory.in_full() for memory in takes]
    k, v = (torch.cat([one[name] for one in whole], dim=2) for name in ("k_NHTD", "v_NHTD"))
    return apply_rotary(k, *angles(history.positions_3T)), v


@pytest.mark.parametrize("storage", ["full", "int8"])
@pytest.mark.parametrize("spilled", [(), (1,), (0, 1, 2)])
@pytest.mark.parametrize("most_bytes", [0, 3000, 1 << 30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_segments_hold_what_the_takes_hold(
    tmp_path: Path, storage: str, spilled: tuple[int, ...], most_bytes: int, dtype: torch.dtype
) -> None:
    takes = [take(nth, storage, dtype) for nth in range(3)]
    history = paged(takes, spilled, tmp_path)
    pages = Pages(history, angles, CPU, most_bytes)
    k, v = expected(takes, history)
    for layer in (0, 1, 2, 0, 2, 2, 1):  # also in an order that was not foreseen
        tokens = 0
        for segment in pages.segments(layer):
            span = slice(segment.start, segment.start + segment.k_HTD.shape[1])
            assert span.start == tokens == history.layout.offsets[segment.first]
            torch.testing.assert_close(segment.k_HTD, k[layer, :, span])
            assert torch.equal(segment.v_HTD, v[layer, :, span])
            tokens = span.stop
        assert tokens == history.layout.tokens


def test_what_is_read_is_counted_and_nothing_is_read_that_is_in_memory(tmp_path: Path) -> None:
    takes = [take(nth, "int8") for nth in range(3)]
    pages = Pages(paged(takes, (1,), tmp_path), angles, CPU, 1 << 30)
    for layer in range(LAYERS):
        list(pages.segments(layer))
    pages.close()
    of_a_layer = 2 * HEADS * sum(CHUNKS[1]) * WIDTH
    ahead = pages.traffic.read - LAYERS * of_a_layer
    assert ahead in (0, of_a_layer)  # the first layer of the next step, where it had begun
    assert pages.traffic.copied == 0


@pytest.mark.parametrize("most_bytes", [3000, 1 << 30])
def test_what_is_copied_to_another_device_is_counted(tmp_path: Path, most_bytes: int) -> None:
    """On the meta device, which has shapes and no values."""
    takes = [take(nth, "int8") for nth in range(3)]
    meta = torch.device("meta")
    pages = Pages(paged(takes, (), tmp_path, meta), angles, meta, most_bytes)
    for layer in range(LAYERS):
        for segment in pages.segments(layer):
            assert segment.k_HTD.device.type == segment.v_HTD.device.type == "meta"
    pages.close()
    of_a_layer = 2 * HEADS * sum(sum(chunks) for chunks in CHUNKS) * WIDTH
    ahead = pages.traffic.copied - LAYERS * of_a_layer
    assert 0 < ahead <= of_a_layer


def test_buffers_do_not_grow_with_the_history(tmp_path: Path) -> None:
    takes = [take(nth, "full") for nth in range(3)]
    history = paged(takes, (0, 1, 2), tmp_path)
    sizes = [Pages(history, angles, CPU, most).bytes for most in (3000, 6000, 12000, 1 << 30)]
    assert sizes[0] <= 3000 + 16 * 12
    assert sizes == sorted(sizes)


def test_a_file_that_ends_early_or_is_gone_is_told(tmp_path: Path) -> None:
    takes = [take(nth, "full") for nth in range(3)]
    history = paged(takes, (0, 1, 2), tmp_path)
    files = sorted(tmp_path.iterdir())
    files[0].write_bytes(files[0].read_bytes()[:-900])
    pages = Pages(history, angles, CPU, 1 << 30)
    with pytest.raises(OSError, match="ends early"):
        [list(pages.segments(layer)) for layer in range(LAYERS)]
    files[0].unlink()
    with pytest.raises(FileNotFoundError):
        list(Pages(history, angles, CPU, 1 << 30).segments(0))
