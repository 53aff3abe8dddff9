"""Tensors in memory that is kept."""

from __future__ import annotations

import pytest
import torch

from moc_engine.ops.rotary import rotate_into, rotate_pairs
from moc_engine.ops.workspace import Workspace


def test_memory_is_used_again_for_the_same_name() -> None:
    workspace = Workspace(1 << 20)
    first = workspace.empty("keys", (3, 4), torch.float32)
    assert (first.shape, first.dtype, first.is_contiguous()) == ((3, 4), torch.float32, True)
    again = workspace.empty("keys", (2, 3), torch.float64)
    assert again.dtype == torch.float64
    assert again.data_ptr() == first.data_ptr()
    assert workspace.empty("values", (3, 4), torch.float32).data_ptr() != first.data_ptr()


def test_growing_leaves_room_for_more() -> None:
    workspace = Workspace(1 << 20)
    workspace.empty("keys", (100,), torch.float32)
    grown = workspace.empty("keys", (1000,), torch.float32)
    assert workspace.empty("keys", (1400,), torch.float32).data_ptr() == grown.data_ptr()


def test_no_more_is_kept_than_the_limit() -> None:
    workspace = Workspace(limit=1000)
    kept = workspace.empty("keys", (200,), torch.float32)
    assert workspace.empty("keys", (200,), torch.float32).data_ptr() == kept.data_ptr()
    fresh = workspace.empty("values", (200,), torch.float32)
    assert fresh.shape == (200,)
    assert workspace.empty("keys", (200,), torch.float32).data_ptr() == kept.data_ptr()
    assert workspace.empty("keys", (2000,), torch.float32).shape == (2000,)
    assert workspace.bytes <= 1000


def test_other_devices_have_memory_of_their_own() -> None:
    workspace = Workspace(1 << 20)
    assert workspace.empty("keys", (5,), torch.float16, "meta").device.type == "meta"
    assert workspace.bytes == 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_rotated_in_place_is_rotated(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 6, generator=generator).to(dtype)
    angles = torch.rand(5, 3, generator=generator, dtype=torch.float64 if dtype == torch.float64 else None)
    turns = torch.polar(torch.ones_like(angles), angles)
    out = torch.full_like(x, torch.nan)
    assert rotate_into(out, x, turns) is out
    assert torch.equal(out, rotate_pairs(x, turns))
    roomy = torch.full((2, 8, 6), torch.nan, dtype=dtype)
    roomy[:, 2:7] = x
    assert torch.equal(rotate_into(torch.full_like(x, torch.nan), roomy[:, 2:7], turns), out)
    odd = torch.cat((x[..., :1], x), dim=-1)[..., 1:]
    assert torch.equal(rotate_into(torch.full_like(x, torch.nan), odd, turns), out)
