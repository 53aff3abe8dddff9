"""Compiled FlexAttention over a selection: a block mask made from the chosen chunks, then attention."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.flex_attention import create_block_mask, flex_attention

from moc_engine.evaluation.benchmark.cases import Case
from moc_engine.evaluation.benchmark.story import Story
from moc_engine.ops.selection import mask_of


def missing_for_flex(device: torch.device) -> str | None:
    """What compiled FlexAttention lacks on this machine, in words; None: nothing."""
    if device.type == "cpu" and not any(shutil.which(name) for name in ("g++", "clang++", "c++")):
        return "needs a C++ compiler on the CPU, and there is none"
    return None


def prepare_flex(story: Story, indices_BHLK: Tensor) -> Callable[[], Tensor]:
    """What makes the mask of a selection and attends by it: the mask changes with every layer and step.

    Only the last one that was prepared for a case may be called: they share what was compiled.
    """
    chunks, history = story.layout.chunks, story.history.chunks
    flex = _flex_of(story.case, chunks, story.q.device)
    flex.attended_HLC.copy_(mask_of(indices_BHLK[0].long(), chunks))
    flex.attended_HLC[..., history:] = True
    flex.chunk_of_token.copy_(torch.tensor(story.layout.token_chunk))
    q, k, v = story.q, story.k, story.v
    return lambda: flex.attend(q, k, v)


class _Flex:
    """Compiled once for the shapes of a case; reads the chunks that each query attends to."""

    def __init__(self, case: Case, chunks: int, device: torch.device) -> None:
        self.attended_HLC = torch.zeros(case.heads, case.queries, chunks, dtype=torch.bool, device=device)
        self.chunk_of_token = torch.zeros(case.context, dtype=torch.int64, device=device)
        self._shape = (1, case.heads, case.queries, case.context)
        self._device = device.type
        self._attention: Any = torch.compile(flex_attention, dynamic=False)

    def attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        attended_HLC, chunk_of_token = self.attended_HLC, self.chunk_of_token

        def attended(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
            return attended_HLC[head, query, chunk_of_token[key]]

        mask = create_block_mask(attended, *self._shape, device=self._device, _compile=self._device == "cuda")
        out: Tensor = self._attention(q, k, v, block_mask=mask)
        return out


@lru_cache(maxsize=1)
def _flex_of(case: Case, chunks: int, device: torch.device) -> _Flex:
    return _Flex(case, chunks, device)
