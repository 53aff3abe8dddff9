from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from moc_engine.config import RoutingConfig, Steering
from moc_engine.ops.head_split import HeadSplit, part_of
from moc_engine.ops.layout import CAPTION, GLOBAL_SHOT, VIDEO, ChunkLayout
from moc_engine.ops.moc_attention import moc_attention
from moc_engine.ops.routing import route
from tests.fakes.process_groups import together

B, D = 2, 8
LAYOUT = ChunkLayout(
    [0, 3, 7, 12, 14, 20, 21, 25, 30, 37],
    [GLOBAL_SHOT, 0, 0, 0, 1, 1, 2, 2, 2],
    [CAPTION, CAPTION, VIDEO, VIDEO, VIDEO, VIDEO, CAPTION, VIDEO, VIDEO],
)
CONFIG = RoutingConfig(top_k=2, full_below=0)
STEERING = {2: Steering(pins=(0,)), 1: Steering(ban_chunks=(2,))}


def story(heads: int, dtype: torch.dtype) -> Tensor:
    """Queries, keys and values (3, B, H, L, D) of all tokens of the layout."""
    generator = torch.Generator().manual_seed(heads)
    return torch.randn(3, B, heads, LAYOUT.tokens, D, generator=generator, dtype=dtype)


def attended(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    selection = route(q, k, LAYOUT, None, CONFIG, STEERING)
    out, mass = moc_attention(q, k, v, LAYOUT, selection, return_mass=True)
    return out, selection.indices, mass


def attend_together(split: HeadSplit, cases: list[tuple[int, torch.dtype]]) -> list[dict[str, Tensor]]:
    """Of each case, what this process computes from its own tokens."""
    return [_attend_together(split, heads, dtype) for heads, dtype in cases]


def _attend_together(split: HeadSplit, heads: int, dtype: torch.dtype) -> dict[str, Tensor]:
    own = split.own_tokens(story(heads, dtype), dim=3)
    q, k, v = split.to_heads(own, LAYOUT.tokens)
    out, indices, mass = attended(q, k, v)
    out_of_own = split.to_tokens(out, heads)
    joined = split.gather_tokens(out_of_own.transpose(1, 2).flatten(2), LAYOUT.tokens)
    summed = mass.sum(dim=(0, 1, 2))
    split.sum_(summed)
    least = torch.tensor([float(split.rank), -float(split.rank)])
    split.least_(least)
    return {"out": out_of_own, "indices": indices, "joined": joined, "mass": summed, "least": least}


@pytest.mark.parametrize("processes", [2, 4])
def test_attention_routing_and_mass_are_those_of_one_process(processes: int, tmp_path: Path) -> None:
    """Heads and tokens (37) that the processes divide, and that they do not."""
    cases = [(4, torch.float64), (5, torch.float32), (8, torch.bfloat16)]
    found: list[list[dict[str, Tensor]]] = together(processes, tmp_path, attend_together, cases)
    for nth, (heads, dtype) in enumerate(cases):
        out, indices, mass = attended(*story(heads, dtype))
        of_case = [results[nth] for results in found]
        close: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-5} if dtype != torch.bfloat16 else {}
        torch.testing.assert_close(torch.cat([one["out"] for one in of_case], dim=2), out, **close)
        assert torch.equal(torch.cat([one["indices"] for one in of_case], dim=1), indices)
        for one in of_case:
            torch.testing.assert_close(one["joined"], out.transpose(1, 2).flatten(2), **close)
            torch.testing.assert_close(one["mass"], mass.sum(dim=(0, 1, 2)), rtol=1e-4, atol=1e-4)
            assert one["least"].tolist() == [0.0, 1.0 - processes]


@pytest.mark.parametrize("count", [1, 5, 7, 40])
@pytest.mark.parametrize("parts", [1, 2, 3, 8])
def test_parts_follow_each_other_and_differ_by_one_at_most(count: int, parts: int) -> None:
    found = [part_of(count, part, parts) for part in range(parts)]
    assert [item for part in found for item in part] == list(range(count))
    assert max(map(len, found)) - min(map(len, found)) <= 1


def test_too_few_heads_or_tokens_are_refused_in_words() -> None:
    split = HeadSplit(group=None, rank=1, processes=4)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="processes: 3 heads cannot be split over 4 processes; use 3 or"):
        split.check(3, 100)
    with pytest.raises(ValueError, match="processes: 2 tokens cannot be split over 4"):
        split.check(4, 2)
    with pytest.raises(ValueError, match="tokens: of 10 this process has 3, got 4"):
        split.to_heads(torch.zeros(3, 1, 4, 4, 2), 10)
    with pytest.raises(ValueError, match="heads: of 6 this process has 2, got 3"):
        split.to_tokens(torch.zeros(1, 3, 8, 2), 6)
