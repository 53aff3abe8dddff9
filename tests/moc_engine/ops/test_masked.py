"""The masked backend against the naive one: outputs and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from moc_engine.ops.masked import masked_attention
from moc_engine.ops.naive import naive_history_attention
from moc_engine.ops.rotary import Rotary

ENTRIES, HEADS, QUERIES, WIDTH = 6, 2, 5, 8


def drawn(lengths: list[int], histories: int, *, dtype: torch.dtype, scale: float = 1.0) -> dict[str, Tensor]:
    """Queries, own and history keys and values that want gradients, and indices with some that are none."""
    draws = torch.Generator().manual_seed(len(lengths))

    def noise(entries: int, tokens: int) -> Tensor:
        x = torch.randn(entries, HEADS, tokens, WIDTH, generator=draws, dtype=torch.float64) * scale
        return x.to(dtype).requires_grad_()

    shape = (ENTRIES, HEADS, QUERIES, len(lengths) - 1)  # the last chunk is never chosen
    indices = torch.rand(shape, generator=draws).argsort(dim=-1)[..., :2]
    indices[:, :, ::2, 1] = -1
    own, past = QUERIES + 2, sum(lengths)
    sizes = {"q": (ENTRIES, QUERIES), "own_k": (ENTRIES, own), "own_v": (ENTRIES, own)}
    sizes |= {"past_k": (histories, past), "past_v": (histories, past)}
    return {name: noise(*size) for name, size in sizes.items()} | {"indices": indices}


def results(attention: Any, x: dict[str, Tensor], lengths: list[int], **options: Any) -> list[Tensor]:
    """The output, and the gradients of all inputs."""
    leaves = [tensor for name, tensor in x.items() if name != "indices"]
    q, own_k, own_v, past_k, past_v = leaves
    if attention is naive_history_attention:
        past_k, past_v = (y.repeat_interleave(ENTRIES // len(y), dim=0) for y in (past_k, past_v))
    offsets = np.cumsum([0, *lengths])
    out, _ = attention(q, own_k, own_v, past_k, past_v, offsets, x["indices"], **options)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return [out, *torch.autograd.grad(out, leaves, weights.to(out.dtype))]


@pytest.mark.parametrize("lengths", [[3, 3, 3, 3], [1, 4, 2, 3]], ids=["even", "ragged"])
@pytest.mark.parametrize("histories", [1, 2, 6])
@pytest.mark.parametrize("scale", [0.3, 3.0, 30.0])
@pytest.mark.parametrize("pinned", [(), (3,)], ids=["free", "pinned"])
def test_outputs_and_gradients_are_those_of_the_naive_backend(
    lengths: list[int], histories: int, scale: float, pinned: tuple[int, ...]
) -> None:
    x = drawn(lengths, histories, dtype=torch.float64, scale=scale)
    expected = results(naive_history_attention, x, lengths, pinned=pinned)
    for got, want in zip(results(masked_attention, x, lengths, pinned=pinned), expected, strict=True):
        torch.testing.assert_close(got, want)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.bfloat16, 0.06)])
def test_dtypes_stay_and_are_near(dtype: torch.dtype, tolerance: float) -> None:
    lengths = [2, 2, 2, 2]
    exact = drawn(lengths, 2, dtype=torch.float64)
    low = {
        name: y if name == "indices" else y.detach().to(dtype).requires_grad_() for name, y in exact.items()
    }
    expected = results(naive_history_attention, exact, lengths)
    for got, want in zip(results(masked_attention, low, lengths), expected, strict=True):
        assert got.dtype == dtype
        assert (got.double() - want).abs().max() <= tolerance * want.abs().max()


def test_chunks_that_nobody_chose_may_hold_anything() -> None:
    lengths = [2, 3, 2]
    x = drawn(lengths, 2, dtype=torch.float64)
    plain = results(masked_attention, x, lengths)
    for name in ("past_k", "past_v"):
        x[name] = x[name].detach().index_fill(2, torch.tensor([5, 6]), torch.nan).requires_grad_()
    for got, want in zip(results(masked_attention, x, lengths), plain, strict=True):
        assert torch.equal(got, want)


def test_unrotated_keys_are_rotated() -> None:
    lengths = [2, 2, 2]
    x = {name: y.detach() for name, y in drawn(lengths, 2, dtype=torch.float64).items()}
    q, own_k, own_v, past_k, past_v, indices = x.values()
    angles = torch.randn(6, WIDTH // 2, dtype=torch.float64)
    rotary = Rotary(cos=angles.cos(), sin=angles.sin())
    offsets = np.cumsum([0, *lengths])
    out, mass = masked_attention(q, own_k, own_v, past_k, past_v, offsets, indices, rotary=rotary)
    turned = rotary(past_k, torch.arange(6))
    torch.testing.assert_close(out, masked_attention(q, own_k, own_v, turned, past_v, offsets, indices)[0])
    assert mass.own.shape[-1] == mass.pinned.shape[-1] == mass.routed.shape[-1] == 0
