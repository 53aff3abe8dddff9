"""The kernel of chunk means, compared with means in float64."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from moc_engine.ops.layout import ChunkLayout
from moc_engine.ops.routing import chunk_means
from moc_engine.ops.triton.means import chunk_means_by_kernel, mean_keys, supports
from tests.fakes.kernels import DEVICE, needs_cuda

LENGTHS = [5, 0, 1, 40, 3, 0, 16]


def offsets_of(lengths: list[int], dtype: torch.dtype = torch.int32) -> Tensor:
    return torch.tensor([0, *torch.tensor(lengths).cumsum(0).tolist()], dtype=dtype, device=DEVICE)


def written_out(k: Tensor, offsets: Tensor) -> Tensor:
    chunks = [k[:, first:last].double() for first, last in pairwise(offsets.tolist())]
    return torch.stack([chunk.sum(dim=1) / max(1, chunk.shape[1]) for chunk in chunks], dim=1).float()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("width", [8, 32, 96])
def test_means_of_ragged_chunks_are_summed_in_float32(width: int, dtype: torch.dtype) -> None:
    offsets = offsets_of(LENGTHS)
    k = 3 + torch.randn(2, int(offsets[-1]), width, generator=torch.Generator().manual_seed(0))
    k = k.to(DEVICE, dtype)
    means = mean_keys(k, offsets)
    assert means.dtype == torch.float32
    torch.testing.assert_close(means, written_out(k, offsets), atol=1e-6, rtol=1e-6)


def test_what_stands_in_one_chunk_never_shows_in_another() -> None:
    offsets = offsets_of(LENGTHS, torch.int64)
    k = torch.ones(3, int(offsets[-1]), 16, device=DEVICE)
    k[:, 6:46] = torch.nan
    means = mean_keys(k, offsets)
    assert means[:, 3].isnan().all()
    assert (means[:, [0, 2, 4, 6]] == 1).all()
    assert (means[:, [1, 5]] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_are_batch_entries_and_heads(dtype: torch.dtype) -> None:
    layout = ChunkLayout([0, 0, 3, 4, 6, 10, 12], [-1, 0, 0, 1, 1, 1], [0, 1, 1, 0, 1, 1])
    k = torch.randn(2, 3, layout.tokens, 16, generator=torch.Generator().manual_seed(0)).to(DEVICE, dtype)
    means = chunk_means_by_kernel(k, layout.offsets)
    torch.testing.assert_close(means.cpu(), chunk_means(k.cpu(), layout), atol=1e-6, rtol=1e-6)


def test_what_the_kernel_supports() -> None:
    assert supports(torch.empty(1, 1, 1, 256))
    assert not supports(torch.empty(1, 1, 1, 257))
    assert not supports(torch.empty(1, 1, 1, 64, dtype=torch.float64))


def test_no_chunks_and_no_rows() -> None:
    assert mean_keys(torch.ones(2, 0, 16, device=DEVICE), offsets_of([])).shape == (2, 0, 16)
    assert mean_keys(torch.ones(0, 3, 16, device=DEVICE), offsets_of([3])).shape == (0, 1, 16)
    assert (mean_keys(torch.ones(2, 0, 16, device=DEVICE), offsets_of([0])) == 0).all()


@pytest.mark.gpu
@needs_cuda
@pytest.mark.parametrize("scale", [0.3, 1.0, 30.0])
def test_real_sizes_twice_in_a_row(scale: float) -> None:
    offsets = offsets_of([1_560] * 14 + [77, 0, 3_000])
    k = (scale * torch.randn(12, int(offsets[-1]), 128, device="cuda")).bfloat16()
    means = mean_keys(k, offsets)
    torch.testing.assert_close(means, written_out(k, offsets), atol=1e-6 * scale, rtol=1e-5)
    assert torch.equal(means, mean_keys(k, offsets))


@pytest.mark.gpu
@needs_cuda
def test_keys_beyond_32_bits_of_address() -> None:
    k = torch.zeros(40, 440_000, 128, dtype=torch.bfloat16, device="cuda")
    k[-1, -1_560:] = 2
    means = mean_keys(k, offsets_of([438_440, 1_560]))
    assert (means[-1, 1] == 2).all()
    assert means.sum() == 2 * 128
