"""The backend `triton` on a CUDA device at real sizes: random queries against a masked softmax in float64."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from torch import Tensor

from moc_engine.config import RoutingConfig, Steering
from moc_engine.ops.backend import Mass
from moc_engine.ops.layout import Ints, by_length
from moc_engine.ops.moc_attention import moc_attention
from moc_engine.ops.rotary import Rotary, apply_rotary
from moc_engine.ops.routing import route
from moc_engine.ops.triton.dense import dense_kernel
from moc_engine.ops.triton.kernel_options import Options
from moc_engine.ops.triton.streaming import SegmentBuffers
from tests.fakes.kernels import DEVICE, needs_cuda
from tests.fakes.triton_attention import attend_over_history, poisoned_device_memory

pytestmark = [pytest.mark.gpu, needs_cuda]

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 6e-3, torch.float16: 8e-4}
"""Greatest relative error in the norm."""

OPTIONS = {
    "stored": Options(partials="stored"),
    "in place": Options(partials="in place"),
    "streamed": Options(always_streamed=True, buffers=SegmentBuffers(most_bytes=1 << 23)),
}


@dataclass(frozen=True, kw_only=True)
class Shot:
    """A shot of L queries, and a history of ragged chunks."""

    q: Tensor
    own_k: Tensor
    own_v: Tensor
    k: Tensor
    v: Tensor
    offsets: Ints
    indices: Tensor

    def attended(
        self, options: Options, *, pinned: tuple[int, ...] = (), rotary: Rotary | None = None
    ) -> tuple[Tensor, Mass]:
        tensors = (self.q, self.own_k, self.own_v, self.k, self.v)
        return attend_over_history(options, tensors, self.offsets, self.indices, pinned=pinned, rotary=rotary)

    def exact(self, queries: Tensor, pinned: tuple[int, ...] = ()) -> tuple[Tensor, Tensor]:
        """The output (B, H, n, D) of some queries and the mass of their slots (B, H, n, K), in float64."""
        chunks = len(self.offsets) - 1
        B, H, _, D = self.q.shape
        chosen = self.indices[:, :, queries]
        seen = torch.zeros(B, H, len(queries), chunks + 1, dtype=torch.bool, device=DEVICE)
        seen.scatter_(-1, chosen.where(chosen >= 0, chunks), True)
        seen[..., list(pinned)] = True
        chunk_of = torch.tensor(np.repeat(np.arange(chunks), np.diff(self.offsets)), device=DEVICE)
        mask = torch.cat(
            (torch.ones_like(seen[..., :1]).expand(-1, -1, -1, self.own_k.shape[2]), seen[..., chunk_of]),
            dim=-1,
        )
        keys, values = (
            torch.cat((own, past.to(DEVICE).expand(B, -1, -1, -1)), dim=2).double()
            for own, past in ((self.own_k, self.k), (self.own_v, self.v))
        )
        scores = self.q[:, :, queries].double() @ keys.transpose(2, 3) / D**0.5
        weights = scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)
        past = weights[..., self.own_k.shape[2] :]
        of_chunk = torch.zeros(B, H, len(queries), chunks, dtype=torch.float64, device=DEVICE)
        of_chunk.index_add_(-1, chunk_of, past)
        mass = of_chunk.gather(-1, chosen.clamp(min=0)).masked_fill(chosen < 0, 0)
        return weights.masked_fill(~mask, 0) @ values, mass


def shot(
    *,
    dtype: torch.dtype = torch.bfloat16,
    B: int = 1,
    H: int = 4,
    D: int = 128,
    L: int = 3000,
    K: int = 5,
    chunks: int = 17,
    scale: float = 1.0,
    seed: int = 0,
) -> Shot:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, 1700, (chunks,), generator=generator)
    lots = torch.rand(B, H, L, chunks, generator=generator)
    lots[..., 1] = -1
    indices = lots.topk(K, dim=-1).indices
    indices[:, :, ::7, K - 1] = -1
    indices[:, :, 5] = -1

    def noise(tokens: int) -> Tensor:
        return (torch.randn(B, H, tokens, D, generator=generator) * scale).to(DEVICE, dtype)

    T = int(lengths.sum())
    return Shot(
        q=noise(L),
        own_k=noise(L),
        own_v=noise(L),
        k=noise(T),
        v=noise(T),
        offsets=np.concatenate(([0], np.cumsum(lengths.numpy()))),
        indices=indices.to(DEVICE),
    )


def some_queries(L: int) -> Tensor:
    return torch.cat((torch.tensor([0, 5, 7, L - 1]), torch.randint(L, (60,)))).to(DEVICE)


def assert_as_exact(some: Shot, got: tuple[Tensor, Mass], pinned: tuple[int, ...] = ()) -> None:
    queries = some_queries(some.q.shape[2])
    out, mass = some.exact(queries, pinned)
    tolerance = TOLERANCE[some.q.dtype]
    assert got[0].dtype == some.q.dtype
    assert got[0].isfinite().all()
    assert float((got[0][:, :, queries].double() - out).norm() / out.norm()) < tolerance
    torch.testing.assert_close(got[1].routed[:, :, queries].double(), mass, atol=tolerance, rtol=0)
    total = sum(part.sum(dim=-1) for part in (got[1].own, got[1].pinned, got[1].routed))
    torch.testing.assert_close(total, torch.ones_like(got[1].own[..., 0]), atol=10 * tolerance, rtol=0)


@pytest.fixture(autouse=True)
def poisoned() -> Iterator[None]:
    with poisoned_device_memory():
        yield


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("D", [64, 96, 128, 256])
def test_output_and_mass(options: Options, dtype: torch.dtype, D: int) -> None:
    some = shot(dtype=dtype, D=D, H=2)
    assert_as_exact(some, some.attended(options, pinned=(1,)), pinned=(1,))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_inputs_of_any_size(options: Options, scale: float) -> None:
    some = shot(scale=scale)
    assert_as_exact(some, some.attended(options))


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_large_scores_in_float32(options: Options) -> None:
    some = shot(scale=30.0, dtype=torch.float32, D=64)
    out, _ = some.attended(options)
    queries = some_queries(some.q.shape[2])
    exact, _ = some.exact(queries)
    assert float((out[:, :, queries].double() - exact).norm() / exact.norm()) < 1e-3


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_same_input_gives_the_same_bits(options: Options) -> None:
    some = shot()
    runs = [some.attended(options) for _ in range(2)]
    assert torch.equal(runs[0][0], runs[1][0])
    assert torch.equal(runs[0][1].routed, runs[1][1].routed)


@pytest.mark.parametrize("pinned", [False, True], ids=["pageable", "page-locked"])
def test_a_history_in_main_memory_streams(pinned: bool) -> None:
    near = shot(B=2, H=3)
    k, v = (x[:1].cpu() for x in (near.k, near.v))
    far = replace(near, k=k.pin_memory() if pinned else k, v=v.pin_memory() if pinned else v)
    options = Options(buffers=SegmentBuffers(most_bytes=1 << 22))
    got = far.attended(options)
    assert_as_exact(far, got)
    assert options.buffers.traffic.bytes == k.nbytes + v.nbytes
    assert options.buffers.traffic.segments > 2
    assert torch.equal(got[0], far.attended(options)[0])


@pytest.mark.parametrize(
    "options", [*OPTIONS.values(), Options(rotated_bytes=1 << 22), Options(rotation="loaded")]
)
def test_unrotated_keys(options: Options) -> None:
    some = shot(dtype=torch.float16)
    angles = torch.rand(some.k.shape[2], 64, device=DEVICE) * 6
    rotary = Rotary(cos=angles.cos(), sin=angles.sin())
    rotated = replace(some, k=apply_rotary(some.k, rotary.cos, rotary.sin))
    assert_as_exact(rotated, some.attended(options, pinned=(1,), rotary=rotary), pinned=(1,))


def test_a_story_with_several_shots_empty_captions_and_fewer_candidates_than_asked_for() -> None:
    layout = by_length([900, 1300, 700], 170, captions=[30, 0, 12], global_caption=40)
    q, k, v = (torch.randn(1, 2, layout.tokens, 64, device=DEVICE) for _ in range(3))
    selection = route(q, k, layout, None, RoutingConfig(top_k=6), {2: Steering(pins=(0,))})
    assert (selection.indices < 0).any()
    exact = (x.double() for x in (q, k, v))
    expected, mass = moc_attention(*exact, layout, selection, "naive", return_mass=True)  # type: ignore[call-overload]
    out, got = moc_attention(q, k, v, layout, selection, "triton", return_mass=True)
    assert float((out.double() - expected).norm() / expected.norm()) < TOLERANCE[torch.float32]
    torch.testing.assert_close(got.double(), mass, atol=1e-5, rtol=0)


@pytest.mark.parametrize("options", [OPTIONS["stored"], OPTIONS["in place"]], ids=["stored", "in place"])
def test_nothing_waits_for_the_device(options: Options) -> None:
    some = shot()
    some.attended(options)  # compiles, and copies the offsets
    torch.cuda.set_sync_debug_mode("error")
    try:
        out, _ = some.attended(options)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert out.isfinite().all()


def test_histories_of_more_than_31_bits_of_numbers() -> None:
    H, T, D, L = 40, 450_000, 128, 500
    if torch.cuda.get_device_properties(DEVICE).total_memory < 32 << 30:
        pytest.skip("needs 32 GB on the device")
    assert H * T * D > 1 << 31
    k, v = (torch.randn(1, H, T, D, device=DEVICE, dtype=torch.bfloat16) for _ in range(2))
    offsets = np.arange(0, T + 1, 1500)
    q, own_k, own_v = (torch.randn(1, H, L, D, device=DEVICE, dtype=torch.bfloat16) for _ in range(3))
    indices = torch.randint(len(offsets) - 1, (1, H, L, 1), device=DEVICE)
    for options in (OPTIONS["stored"], OPTIONS["in place"]):
        some = Shot(q=q, own_k=own_k, own_v=own_v, k=k, v=v, offsets=offsets, indices=indices)
        out, _ = some.attended(options)
        names = ("q", "own_k", "own_v", "k", "v", "indices")
        last = replace(some, **{name: getattr(some, name)[:, -1:] for name in names})
        queries = some_queries(L)
        exact, _ = last.exact(queries)
        got = out[:, -1:, queries].double()
        assert float((got - exact).norm() / exact.norm()) < TOLERANCE[torch.bfloat16]


def test_the_fastest_dense_kernel_is_used() -> None:
    q = torch.randn(1, 2, 256, 128, device=DEVICE, dtype=torch.bfloat16)
    hopper = torch.cuda.get_device_capability(DEVICE) == (9, 0)
    assert dense_kernel(q, q, q) == "cudnn" if hopper else dense_kernel(q, q, q) in ("cudnn", "flash")
    assert dense_kernel(q.float(), q.float(), q.float()) == "efficient"
