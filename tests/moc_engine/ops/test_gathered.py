"""Gathered attention against the oracle, outputs, shares and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from moc_engine.ops.backend import Mass
from moc_engine.ops.gathered import gathered_attention
from moc_engine.ops.layout import VIDEO, ChunkLayout
from moc_engine.ops.naive import naive_attention
from moc_engine.ops.rotary import Rotary, apply_rotary
from moc_engine.ops.selection import QueryGroup, Selection

B, H, L, S, D = 2, 2, 5, 7, 8
SCALE = 1 / D**0.5


def drawn(lengths: list[int], k: int, seed: int, scale: float = 1.0) -> dict[str, Tensor]:
    """Queries, keys and values of an own shot and of a history, and k different chunks of it, or none."""
    generator = torch.Generator().manual_seed(seed)

    def normal(tokens: int) -> Tensor:
        x = torch.randn(B, H, tokens, D, generator=generator, dtype=torch.float64) * scale
        return x.requires_grad_()

    lots = torch.rand(B, H, L, len(lengths), generator=generator)
    indices = lots.argsort(dim=-1)[..., :k]
    indices = indices.masked_fill(torch.rand(indices.shape, generator=generator) < 0.25, -1)
    return {
        "q": normal(L),
        "own_k": normal(S),
        "own_v": normal(S),
        "k": normal(sum(lengths)),
        "v": normal(sum(lengths)),
        "indices": indices,
    }


def oracle(x: dict[str, Tensor], lengths: list[int], pinned: list[int]) -> tuple[Tensor, Mass]:
    offsets = np.cumsum([0, *lengths, S])
    chunks = len(lengths)
    layout = ChunkLayout(offsets, [*[0] * chunks, 1], [VIDEO] * (chunks + 1))
    own = np.arange(chunks + 1) == chunks
    group = QueryGroup(
        shot=1,
        start=0,
        stop=L,
        own=own,
        captions=~own & own,
        pinned=np.isin(np.arange(chunks + 1), pinned),
    )
    out, mass = naive_attention(
        x["q"],
        torch.cat((x["k"], x["own_k"]), dim=2),
        torch.cat((x["v"], x["own_v"]), dim=2),
        layout,
        Selection(indices=x["indices"], groups=(group,), layout=layout),
        SCALE,
    )
    indices = x["indices"]
    routed = mass.gather(-1, indices.clamp(min=0)).masked_fill(indices < 0, 0)
    return out, Mass(own=mass[..., chunks:], pinned=mass[..., pinned], routed=routed)


def gathered(x: dict[str, Tensor], lengths: list[int], **options: Any) -> tuple[Tensor, Mass]:
    offsets = np.cumsum([0, *lengths])
    return gathered_attention(
        x["q"], x["own_k"], x["own_v"], x["k"], x["v"], offsets, x["indices"], **options
    )


@given(
    st.lists(st.integers(1, 4), min_size=2, max_size=8),
    st.integers(0, 3),
    st.integers(0, 1000),
    st.sampled_from((0.1, 1.0, 8.0)),
    st.data(),
)
def test_outputs_shares_and_gradients_equal_the_oracles(
    lengths: list[int], k: int, seed: int, scale: float, data: st.DataObject
) -> None:
    pinned = sorted(data.draw(st.sets(st.integers(0, len(lengths) - 1), max_size=2)))
    x = drawn(lengths, min(k, len(lengths)), seed, scale)
    pins = torch.tensor(pinned, dtype=torch.int64)
    x["indices"] = x["indices"].masked_fill(torch.isin(x["indices"], pins), -1)
    out, mass = gathered(x, lengths, pinned=pinned)
    expected, expected_mass = oracle(x, lengths, pinned)
    torch.testing.assert_close(out, expected)
    for name in ("own", "pinned", "routed"):
        torch.testing.assert_close(getattr(mass, name), getattr(expected_mass, name))
    leaves = [x[name] for name in ("q", "own_k", "own_v", "k", "v")]
    upstream = torch.randn_like(out)
    for ours, theirs in zip(
        torch.autograd.grad(out, leaves, upstream, allow_unused=True),
        torch.autograd.grad(expected, leaves, upstream),
        strict=True,
    ):
        torch.testing.assert_close(torch.zeros_like(theirs) if ours is None else ours, theirs)


def test_what_is_not_chosen_may_hold_anything() -> None:
    lengths = [2, 3, 2, 1]
    x = drawn(lengths, 2, seed=0)
    x["indices"] = x["indices"].masked_fill(x["indices"] == 1, -1)
    before, _ = gathered(x, lengths)
    with torch.no_grad():
        x["k"][:, :, 2:5] = torch.nan
        x["v"][:, :, 2:5] = torch.nan
    assert torch.equal(gathered(x, lengths)[0], before)


def test_keys_are_turned_by_where_they_stand() -> None:
    lengths = [2, 3, 2]
    x = drawn(lengths, 2, seed=1)
    angles = torch.rand(7, x["k"].shape[-1] // 2, dtype=torch.float64)
    cos, sin = angles.cos(), angles.sin()
    turned, _ = gathered(x, lengths, pinned=[], rotary=Rotary(cos=cos, sin=sin))
    plain, _ = gathered({**x, "k": apply_rotary(x["k"], cos, sin)}, lengths)
    torch.testing.assert_close(turned, plain)


def test_a_history_of_one_is_shared_by_all_entries() -> None:
    lengths = [2, 3, 2]
    x = drawn(lengths, 2, seed=3)
    x["indices"] = x["indices"].masked_fill(x["indices"] == 1, -1)
    one = {**x, "k": x["k"][:1], "v": x["v"][:1]}
    repeated = {**x, "k": x["k"][:1].expand(B, -1, -1, -1), "v": x["v"][:1].expand(B, -1, -1, -1)}
    torch.testing.assert_close(
        gathered(one, lengths, pinned=[1])[0], gathered(repeated, lengths, pinned=[1])[0]
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_the_dtype_stays(dtype: torch.dtype) -> None:
    lengths = [2, 2, 2]
    x = drawn(lengths, 2, seed=2)
    low = {name: y if name == "indices" else y.detach().to(dtype) for name, y in x.items()}
    out, mass = gathered(low, lengths)
    assert out.dtype == dtype
    torch.testing.assert_close(out.double(), oracle(x, lengths, [])[0], atol=0.05, rtol=0.05)
    total = mass.own.sum(-1) + mass.routed.sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_large_scores_in_16_bits(dtype: torch.dtype) -> None:
    lengths = [2, 2, 2]
    x = drawn(lengths, 2, seed=2, scale=10.0)
    low = {name: y if name == "indices" else y.detach().to(dtype) for name, y in x.items()}
    rounded = {name: y if name == "indices" else y.double() for name, y in low.items()}
    right = oracle(rounded, lengths, [])[0]
    error = (gathered(low, lengths)[0].double() - right).norm() / right.norm()
    assert error < 2 * torch.finfo(dtype).eps


def test_equal_chunks_that_all_choose_are_read_whole() -> None:
    lengths = [3] * 5
    x = drawn(lengths, 2, seed=4)
    x["indices"] = torch.rand(B, H, L, 5, generator=torch.Generator().manual_seed(4)).argsort(dim=-1)[..., :2]
    out, mass = gathered(x, lengths)
    expected, expected_mass = oracle(x, lengths, [])
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(mass.routed, expected_mass.routed)
    single, _ = gathered(
        {
            **x,
            "k": x["k"][:1, :1],
            "v": x["v"][:1, :1],
            "q": x["q"][:, :1],
            "own_k": x["own_k"][:, :1],
            "own_v": x["own_v"][:, :1],
            "indices": x["indices"][:, :1],
        },
        lengths,
    )
    assert torch.equal(single[0], out[0, :1])


@pytest.mark.parametrize("lengths", [[3] * 5, [2, 4, 1, 3, 5]])
@pytest.mark.parametrize("width", [D, D + 2])
def test_heads_may_lie_apart(lengths: list[int], width: int) -> None:
    """A history with room for further tokens, and one whose rows do not lie side by side."""
    x = {name: y.detach() for name, y in drawn(lengths, 2, seed=5).items()}
    apart = dict(x)
    for name in ("k", "v"):
        roomy = torch.full((B, H, 22, width), torch.nan, dtype=torch.float64)
        roomy[:, :, :15, :D] = x[name]
        apart[name] = roomy[:, :, :15, :D]
    assert torch.equal(gathered(apart, lengths, pinned=[])[0], gathered(x, lengths, pinned=[])[0])
