"""Attention of a story through a backend, to chunks that are chosen as in a render."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from moc_engine.evaluation.benchmark.contestant import NotPossible, Result
from moc_engine.evaluation.benchmark.story import Story
from moc_engine.ops.backend import AttentionBackend, Need, Work
from moc_engine.ops.choice import fits
from moc_engine.ops.choosing import ChunkRules, route_queries
from moc_engine.ops.rotary import Rotary


def choose(story: Story) -> Tensor:
    """The chunks of the history (1, H, L, K) that each query chooses, as a render chooses them."""
    candidates = torch.ones(1, 1, story.case.candidates, dtype=torch.bool, device=story.q.device)
    return route_queries(story.q, story.means, ChunkRules(candidates=candidates), story.routing)


def attend(
    backend: AttentionBackend,
    story: Story,
    indices: Tensor,
    *,
    pinned: Sequence[int] = (),
    rotary: Rotary | None = None,
) -> Result:
    """Attention to the own shot, the chunks at `indices` (1, H, L, K) and the `pinned` ones."""
    assert backend.over_history is not None
    out, _ = backend.over_history(
        story.q,
        story.own_k,
        story.own_v,
        story.history_k,
        story.history_v,
        story.history.offsets,
        indices,
        pinned=pinned,
        rotary=rotary,
    )
    return Result(out=out, chosen_HLK=indices[0], own_shot=True)


def need_of(story: Story) -> Need:
    """What a story needs of a backend."""
    return Need(
        form="history",
        device=story.q.device.type,
        dtype=story.q.dtype,
        history_device=story.history_k.device.type,
        gradients=story.q.requires_grad,
    )


def work_of(story: Story, top_k: int | None) -> Work:
    """The size of a story, with so many chunks per query; None: all."""
    case = story.case
    return Work(
        rows=case.heads,
        tokens=case.queries,
        top_k=top_k,
        head_size=case.width,
        history_offsets=story.history.offsets,
    )


def variant_of(backend: AttentionBackend, story: Story) -> str | None:
    """Which of its kernels a backend takes for a story, in words."""
    need = replace(need_of(story), work=work_of(story, story.case.top_k))
    return None if backend.variant is None else backend.variant(need) or None


def check_supported(backend: AttentionBackend, story: Story) -> None:
    """Raises `NotPossible` where a backend cannot take part."""
    missing = backend.missing(need_of(story))
    if missing is not None:
        raise NotPossible(f"does not support {missing}")
    if not fits(backend.name, replace(need_of(story), work=work_of(story, story.case.top_k))):
        raise NotPossible("is for small shots with short chunks")
