"""Packing by a counting sort, compared with the definition written out."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from moc_engine.ops.triton.packing import Packed, pack
from tests.fakes.kernels import DEVICE, needs_cuda


def distinct_choices(seed: int, rows: int, queries: int, slots: int, chunks: int, missing: float) -> Tensor:
    """Indices (R, L, K) without a chunk twice for a query, and a share `missing` of them -1."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.rand(rows, queries, chunks, generator=generator).argsort(dim=-1)[..., :slots]
    indices = torch.full((rows, queries, slots), -1)
    indices[..., : order.shape[-1]] = order
    return indices.masked_fill(torch.rand(rows, queries, slots, generator=generator) < missing, -1)


def written_out(indices: Tensor, chunks: int, slots: range) -> tuple[list[int], list[int]]:
    """The groups one after the other, and where each ends."""
    R, L, K = indices.shape
    pairs: list[int] = []
    edges = [0]
    for r in range(R):
        for c in range(chunks):
            pairs += [(r * L + n) * K + s for n in range(L) for s in slots if indices[r, n, s] == c]
            edges.append(len(pairs))
    return pairs, edges


def check(packed: Packed, indices: Tensor, chunks: int, slots: range) -> None:
    pairs, edges = written_out(indices.cpu(), chunks, slots)
    assert packed.edges.tolist() == edges
    assert packed.pairs[: len(pairs)].tolist() == pairs
    assert len(packed.pairs) == indices.shape[0] * indices.shape[1] * len(slots)


@pytest.mark.parametrize(
    ("rows", "queries", "slots", "chunks", "missing"),
    [
        (2, 37, 5, 8, 0.2),  # several blocks of pairs
        (3, 20, 1, 7, 0.0),
        (2, 9, 4, 1, 0.0),  # a single chunk: all other slots are -1
        (1, 6, 3, 300, 0.5),  # more chunks than pairs
        (5, 3, 2, 4, 1.0),  # nothing chosen
        (1, 1, 1, 1, 0.0),
    ],
)
@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_pairs_are_grouped_by_row_and_chunk_in_order_of_queries(
    rows: int, queries: int, slots: int, chunks: int, missing: float, dtype: torch.dtype
) -> None:
    indices = distinct_choices(queries, rows, queries, slots, chunks, missing).to(DEVICE, dtype)
    packed = pack(indices, chunks)
    assert packed.pairs.dtype == packed.edges.dtype == torch.int32
    check(packed, indices, chunks, range(slots))


def test_all_queries_may_choose_one_chunk() -> None:
    indices = torch.full((2, 150, 1), 2, dtype=torch.int32, device=DEVICE)
    check(pack(indices, 4), indices, 4, range(1))


def test_slots_are_packed_alone() -> None:
    indices = distinct_choices(1, 2, 30, 4, 6, 0.3).to(DEVICE)
    for first, last in ((0, 1), (1, 3), (3, 4), (2, 2)):
        check(pack(indices, 6, first=first, last=last), indices, 6, range(first, last))


@pytest.mark.parametrize(
    ("rows", "queries", "slots", "chunks"), [(0, 4, 2, 3), (2, 0, 2, 3), (2, 4, 0, 3), (2, 4, 2, 0)]
)
def test_nothing_to_pack(rows: int, queries: int, slots: int, chunks: int) -> None:
    indices = torch.full((rows, queries, slots), -1, device=DEVICE)
    packed = pack(indices, chunks)
    assert packed.edges.tolist() == [0] * (rows * chunks + 1)


@pytest.mark.gpu
@needs_cuda
def test_large_packings_equal_a_stable_sort_twice_in_a_row() -> None:
    R, L, K, C = 12, 32_760, 5, 336
    indices = distinct_choices(0, R, L, K, C, 0.1).to("cuda", torch.int32)
    packed, again = pack(indices, C), pack(indices, C)
    group = (torch.arange(R, device="cuda")[:, None, None] * C + indices).masked_fill(indices < 0, R * C)
    order = group.flatten().sort(stable=True)
    chosen = int((indices >= 0).sum())
    assert int(packed.edges[-1]) == chosen
    assert torch.equal(packed.pairs[:chosen], order.indices[:chosen].int())
    assert torch.equal(
        packed.edges[1:], torch.bincount(order.values, minlength=R * C)[: R * C].cumsum(0).int()
    )
    assert torch.equal(packed.pairs[:chosen], again.pairs[:chosen])
    assert torch.equal(packed.edges, again.edges)


@pytest.mark.gpu
@needs_cuda
def test_more_pairs_than_32_bits_number() -> None:
    R, L, K, C = 40, 4_200_000, 13, 3
    indices = torch.full((R, L, K), -1, dtype=torch.int32, device="cuda")
    indices[..., 4] = torch.arange(L, device="cuda", dtype=torch.int32) % C
    packed = pack(indices, C, first=4, last=5)
    assert packed.pairs.dtype == torch.int64
    assert int(packed.edges[-1]) == R * L
    last_group = packed.pairs[packed.edges[-2] : packed.edges[-1]]
    queries = torch.arange(C - 1, L, C, device="cuda")
    assert torch.equal(last_group, ((R - 1) * L + queries) * K + 4)
