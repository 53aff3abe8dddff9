"""The backend `triton` against a masked softmax in float64: in the interpreter, or on a CUDA device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from moc_engine.config import RoutingConfig, Steering
from moc_engine.ops.backend import Mass, Need, Work
from moc_engine.ops.layout import Ints
from moc_engine.ops.moc_attention import moc_attention
from moc_engine.ops.naive import naive_history_attention
from moc_engine.ops.registry import choose_backend
from moc_engine.ops.rotary import Rotary
from moc_engine.ops.routing import route
from moc_engine.ops.triton.kernel_options import Options
from moc_engine.ops.triton.streaming import SegmentBuffers
from tests.fakes.kernels import DEVICE, kernel_tests
from tests.fakes.layouts import story
from tests.fakes.triton_attention import attend_over_history

pytestmark = kernel_tests

TOLERANCE = {torch.float32: 3e-6, torch.bfloat16: 1.5e-2, torch.float16: 1.5e-3}
"""Greatest relative error in the norm. The interpreter cuts bfloat16 instead of rounding it."""

RAGGED = (5, 1, 19, 3, 33, 16)

STORED = Options(partials="stored", partial_bytes=1)
IN_PLACE = Options(partials="in place")
LOADED_IN_PLACE = Options(partials="in place", rotation="loaded")
SEGMENTS = Options(partials="in place", rotated_bytes=1)


def streamed() -> Options:
    return Options(always_streamed=True, buffers=SegmentBuffers(most_bytes=1))


@dataclass(frozen=True, kw_only=True)
class Case:
    """A shot of L queries and its history; two entries of a batch."""

    q: Tensor
    own_k: Tensor
    own_v: Tensor
    k: Tensor
    v: Tensor
    offsets: Ints
    indices: Tensor

    def attended(self, options: Options, **kwargs: Any) -> tuple[Tensor, Mass]:
        tensors = (self.q, self.own_k, self.own_v, self.k, self.v)
        return attend_over_history(options, tensors, self.offsets, self.indices, **kwargs)

    def expected(self, rotary: Rotary | None = None, **kwargs: Any) -> tuple[Tensor, Mass]:
        q, own_k, own_v, k, v = (x.double() for x in (self.q, self.own_k, self.own_v, self.k, self.v))
        if rotary is not None:
            rotary = Rotary(cos=rotary.cos.double(), sin=rotary.sin.double())
        return naive_history_attention(
            q, own_k, own_v, k, v, self.offsets, self.indices, rotary=rotary, **kwargs
        )


def case(
    *,
    dtype: torch.dtype = torch.float32,
    D: int = 16,
    H: int = 1,
    L: int = 9,
    K: int = 2,
    lengths: tuple[int, ...] = RAGGED,
    pinned: tuple[int, ...] = (),
    scale: float = 1.0,
    missing: float = 0.2,
    seed: int = 0,
) -> Case:
    B = 2
    generator = torch.Generator().manual_seed(seed)

    def noise(tokens: int) -> Tensor:
        return (torch.randn(B, H, tokens, D, generator=generator) * scale).to(DEVICE, dtype)

    lots = torch.rand(B, H, L, len(lengths), generator=generator)
    lots[..., list(pinned)] = -1.0
    indices = lots.topk(K, dim=-1).indices
    indices[torch.rand(indices.shape, generator=generator) < missing] = -1
    T = sum(lengths)
    return Case(
        q=noise(L),
        own_k=noise(L + 2),
        own_v=noise(L + 2),
        k=noise(T),
        v=noise(T),
        offsets=np.cumsum((0, *lengths)),
        indices=indices.to(DEVICE),
    )


def rotary_of(tokens: int, D: int) -> Rotary:
    angles = torch.linspace(0.0, 3.0, tokens * D // 2, device=DEVICE).view(tokens, -1)
    return Rotary(cos=angles.cos(), sin=angles.sin())


def error(got: Tensor, expected: Tensor) -> float:
    return float((got.double() - expected).norm() / expected.norm())


def assert_as_expected(
    got: tuple[Tensor, Mass], expected: tuple[Tensor, Mass], dtype: torch.dtype, times: float = 1.0
) -> None:
    assert got[0].dtype == dtype
    assert error(got[0], expected[0]) < TOLERANCE[dtype] * times
    for name in ("own", "pinned", "routed"):
        mine, theirs = getattr(got[1], name), getattr(expected[1], name)
        torch.testing.assert_close(mine.double(), theirs, atol=TOLERANCE[dtype] * times, rtol=0)


@pytest.fixture
def poisoned() -> Iterator[None]:
    """Within it `torch.empty` holds NaN."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(DEVICE.type == "cpu")
    yield
    torch.use_deterministic_algorithms(before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("options", [Options(), IN_PLACE], ids=["stored", "in place"])
@pytest.mark.usefixtures("poisoned")
def test_output_and_mass_are_those_of_one_softmax(dtype: torch.dtype, options: Options) -> None:
    some = case(dtype=dtype, H=2, L=21, K=3, pinned=(1, 4))
    expected = some.expected(pinned=(1, 4))
    assert_as_expected(some.attended(options, pinned=(1, 4)), expected, dtype)


@pytest.mark.parametrize(
    "options",
    [Options(), SEGMENTS, streamed(), Options(rotation="loaded"), LOADED_IN_PLACE],
    ids=["one buffer", "segments", "streamed", "loaded", "loaded, in place"],
)
@pytest.mark.usefixtures("poisoned")
def test_keys_that_are_kept_unrotated_are_rotated(options: Options) -> None:
    some = case(pinned=(3,))
    rotary = rotary_of(some.k.shape[2], 16)
    got = some.attended(options, pinned=(3,), rotary=rotary)
    assert_as_expected(got, some.expected(pinned=(3,), rotary=rotary), torch.float32)


@pytest.mark.usefixtures("poisoned")
def test_partial_outputs_may_be_stored_for_few_rows_at_a_time() -> None:
    some = case()
    assert_as_expected(some.attended(STORED), some.expected(), torch.float32)
    assert_equal(some.attended(STORED), some.attended(Options()))


@pytest.mark.parametrize("longest", [0, 18, 450], ids=["each alone", "some joined", "all joined"])
@pytest.mark.parametrize("rotated", [True, False], ids=["rotated", "unrotated"])
@pytest.mark.usefixtures("poisoned")
def test_pinned_chunks_that_touch_tell_their_own_mass(longest: int, rotated: bool) -> None:
    everything = tuple(range(len(RAGGED)))
    some = case(H=2, K=0, pinned=everything)
    rotary = None if rotated else rotary_of(some.k.shape[2], 16)
    got = some.attended(Options(longest_joined=longest), pinned=everything, rotary=rotary)
    assert_as_expected(got, some.expected(pinned=everything, rotary=rotary), torch.float32)


def assert_equal(one: tuple[Tensor, Mass], other: tuple[Tensor, Mass]) -> None:
    assert torch.equal(one[0], other[0])
    for name in ("own", "pinned", "routed"):
        assert torch.equal(getattr(one[1], name), getattr(other[1], name))


@pytest.mark.parametrize("D", [8, 24, 96])
def test_heads_of_any_size_are_padded(D: int) -> None:
    some = case(D=D, L=5)
    rotary = rotary_of(some.k.shape[2], D)
    assert_as_expected(some.attended(IN_PLACE), some.expected(), torch.float32)
    for options in (Options(), Options(rotation="loaded")):
        got = some.attended(options, rotary=rotary)
        assert_as_expected(got, some.expected(rotary=rotary), torch.float32)


def test_wider_heads_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^q: heads of at most 256"):
        case(D=264, L=2, K=1).attended(Options())


@pytest.mark.parametrize("scale", [0.3, 30.0])
@pytest.mark.parametrize("options", [Options(), IN_PLACE], ids=["stored", "in place"])
def test_inputs_of_any_size(scale: float, options: Options) -> None:
    some = case(
        scale=scale,
    )
    greatest = scale * scale * 4  # a score of s is known to s · 1.2e-7, and its exponential is off as much
    assert_as_expected(some.attended(options), some.expected(), torch.float32, times=max(1.0, greatest / 10))


@pytest.mark.parametrize("options", [Options(), IN_PLACE, streamed()], ids=["stored", "in place", "streamed"])
def test_the_same_input_gives_the_same_bits(options: Options) -> None:
    some = case()
    assert_equal(some.attended(options), some.attended(options))


@pytest.mark.parametrize("options", [Options(), IN_PLACE], ids=["stored", "in place"])
@pytest.mark.usefixtures("poisoned")
def test_what_is_not_chosen_may_hold_anything(options: Options) -> None:
    some = case(missing=0.5)
    kept = some.indices.masked_fill(some.indices == 2, -1)
    clean = replace(some, indices=kept)
    poison = replace(clean, k=some.k.clone(), v=some.v.clone())
    for x in (poison.k, poison.v):
        x[:, :, some.offsets[2] : some.offsets[3]] = torch.nan
    assert_equal(poison.attended(options), clean.attended(options))


@pytest.mark.parametrize("options", [Options(), IN_PLACE], ids=["stored", "in place"])
def test_a_query_is_not_poisoned_by_a_chunk_that_others_chose(options: Options) -> None:
    some = case(L=2, K=1)
    indices = some.indices.clone()
    indices[:, :, 0], indices[:, :, 1] = 2, 3
    v = some.v.clone()
    v[:, :, some.offsets[3] : some.offsets[4]] = torch.nan
    out, _ = replace(some, indices=indices, v=v).attended(options)
    assert out[:, :, 0].isfinite().all()
    assert out[:, :, 1].isnan().all()


@pytest.mark.parametrize("options", [Options(), IN_PLACE], ids=["stored", "in place"])
def test_a_history_of_one_is_shared_by_all_entries(options: Options) -> None:
    some = case(H=2, L=5, pinned=(1,))
    k, v = (x[:1] for x in (some.k, some.v))
    shared = replace(some, k=k, v=v)
    assert_as_expected(shared.attended(options, pinned=(1,)), shared.expected(pinned=(1,)), torch.float32)


@pytest.mark.parametrize("options", [Options(), IN_PLACE, streamed()], ids=["stored", "in place", "streamed"])
def test_tensors_may_lie_in_memory_as_a_projection_leaves_them(options: Options) -> None:
    some = case(H=2, L=5, K=2)
    strided = {
        name: getattr(some, name).transpose(1, 2).contiguous().transpose(1, 2)
        for name in ("q", "own_k", "own_v", "k", "v")
    }
    assert not strided["q"].is_contiguous()
    assert_as_expected(replace(some, **strided).attended(options), some.expected(), torch.float32)


@pytest.mark.parametrize("options", [Options(), IN_PLACE, streamed()], ids=["stored", "in place", "streamed"])
def test_nothing_chosen_leaves_the_own_shot(options: Options) -> None:
    some = case(L=5, K=2, missing=1.1)
    own = torch.nn.functional.scaled_dot_product_attention(some.q, some.own_k, some.own_v)
    for none in (some, replace(some, indices=some.indices[..., :0])):
        out, mass = none.attended(options)
        torch.testing.assert_close(out, own)
        torch.testing.assert_close(mass.own, torch.ones_like(mass.own))
        assert not mass.routed.any()


def test_a_first_shot_has_no_history() -> None:
    some = case(L=5, K=1)
    first = replace(
        some, k=some.k[:, :, :0], v=some.v[:, :, :0], offsets=np.zeros(1, int), indices=some.indices[..., :0]
    )
    out, _ = first.attended(Options())
    own = torch.nn.functional.scaled_dot_product_attention(some.q, some.own_k, some.own_v)
    torch.testing.assert_close(out, own)


def test_the_scale_is_taken() -> None:
    some = case(L=5, K=2)
    assert_as_expected(some.attended(IN_PLACE, scale=0.7), some.expected(scale=0.7), torch.float32)


@pytest.mark.parametrize("shot", [2, None], ids=["one shot", "several shots"])
def test_a_layout_gives_what_naive_gives(shot: int | None) -> None:
    """Ragged chunks, an empty caption, several query shots, a pin, fewer candidates than are asked for."""
    layout = story([[9, 4, 1], [5, 6], [8, 3]], captions=[3, 0, 2], global_caption=4)
    L = layout.tokens if shot is None else layout.video_tokens(shot)
    generator = torch.Generator().manual_seed(1)
    q, k, v = (torch.randn(1, 2, n, 16, generator=generator).to(DEVICE) for n in (L, *(layout.tokens,) * 2))
    steering = {2: Steering(pins=(0,))} if shot is None else Steering(pins=(0,))
    selection = route(q, k, layout, shot, RoutingConfig(top_k=3), steering)
    assert (selection.indices < 0).any()
    expected, mass = moc_attention(
        q.double(), k.double(), v.double(), layout, selection, "naive", return_mass=True
    )
    out, got = moc_attention(q, k, v, layout, selection, "triton", return_mass=True)
    assert error(out, expected) < TOLERANCE[torch.float32]
    torch.testing.assert_close(got.double(), mass, atol=1e-6, rtol=0)
    plain = moc_attention(q, k, v, layout, selection, "triton")
    assert error(plain, expected) < TOLERANCE[torch.float32]


def test_which_kernel_is_used_is_told() -> None:
    work = Work(rows=4, tokens=8, top_k=2, head_size=64, history_offsets=np.array([0, 4]))
    need = Need(form="history", device=DEVICE.type, history_device="cpu", mass=True, work=work)
    chosen = choose_backend("triton", need)
    assert chosen.backend.name == "triton"
    assert chosen.why in ("asked for; TMA", "asked for; plain loads")
    if DEVICE.type == "cpu":
        assert chosen.why == "asked for; plain loads"
