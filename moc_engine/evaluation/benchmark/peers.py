"""Contestants of other kinds: dense attention, and other ways to attend to part of a history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.evaluation.benchmark.contestant import Contestant, NotPossible, Result, Run
from moc_engine.evaluation.benchmark.flex import missing_for_flex, prepare_flex
from moc_engine.evaluation.benchmark.routed import attend, check_supported, choose
from moc_engine.evaluation.benchmark.story import Story
from moc_engine.ops.backend import AttentionBackend
from moc_engine.ops.choosing import ChunkRules, route_queries
from moc_engine.ops.layout import by_length
from moc_engine.ops.moc_attention import moc_attention
from moc_engine.ops.routers.positions import radial_scores
from moc_engine.ops.selection import QueryGroup, Selection


def dense(device: torch.device) -> Iterator[Contestant]:
    """Attention to the whole history, by each kernel of torch that a device has."""
    kernels = {"SDPA": SDPBackend.FLASH_ATTENTION}
    if device.type == "cuda":
        kernels = {
            "SDPA cuDNN": SDPBackend.CUDNN_ATTENTION,
            "SDPA flash": SDPBackend.FLASH_ATTENTION,
            "SDPA efficient": SDPBackend.EFFICIENT_ATTENTION,
        }
    for name, kernel in kernels.items():
        yield Contestant(name=name, kind="dense", prepare=partial(_sdpa, kernel), joined=True)


def _sdpa(kernel: SDPBackend, story: Story) -> Run:
    k, v = story.k, story.v

    def run() -> Result:
        with sdpa_kernel(kernel):
            return Result(out=scaled_dot_product_attention(story.q, k, v))

    try:
        run()
    except RuntimeError as error:
        raise NotPossible(f"not on this machine: {str(error).splitlines()[0]}") from error
    return run


def flex(story: Story) -> Run:
    """Compiled FlexAttention, whose block mask is made of the selection beforehand."""
    missing = missing_for_flex(story.q.device)
    if missing is not None:
        raise NotPossible(missing)
    indices = choose(story)
    attention = prepare_flex(story, indices)

    def run() -> Result:
        return Result(out=attention(), chosen_HLK=indices[0], own_shot=True)

    return run


def static(name: str, backend: AttentionBackend, pattern: Callable[[Story], Tensor]) -> Contestant:
    """A pattern that is fixed beforehand, at the same number of chunks per query, through our backend."""

    def prepare(story: Story) -> Run:
        check_supported(backend, story)
        chunks = pattern(story)
        indices = chunks.to(story.q.device).expand(*story.q.shape[:3], len(chunks)).contiguous()
        return partial(attend, backend, story, indices)

    return Contestant(name=f"{name} ({backend.name})", kind="static", prepare=prepare)


def window(story: Story) -> Tensor:
    """The last chunks of the history."""
    chunks = story.case.candidates
    return torch.arange(max(0, chunks - story.case.top_k), chunks)


def radial(story: Story) -> Tensor:
    """Fewer chunks of older shots: half as many per shot back."""
    case = story.case
    history = by_length([case.chunks] * (case.shots - 1), 1)
    scores = radial_scores(history, case.shots - 1, None)
    return scores[0].topk(min(case.top_k, case.candidates)).indices.sort().values


def token_causal(backend: AttentionBackend) -> Contestant:
    """MoBA-like selection: own chunk in full, and the best earlier chunks, those of the own shot included."""

    def prepare(story: Story) -> Run:
        if backend.over_layout is None:
            raise NotPossible(f"{backend.name} does not attend over one layout")
        return partial(_token_causal, backend.name, story)

    return Contestant(
        name=f"token-causal ({backend.name})", kind="token-causal", prepare=prepare, joined=True
    )


def _token_causal(backend: str, story: Story) -> Result:
    case, first = story.case, story.history.chunks
    own = story.own_k.unflatten(2, (case.chunks, case.chunk)).mean(dim=3, dtype=torch.float32)
    chunks = torch.arange(story.layout.chunks, device=story.q.device)
    nth_L = torch.arange(case.queries, device=story.q.device) // case.chunk
    rules = ChunkRules(candidates=(chunks < first + chunks[: case.chunks, None])[None], of_query=nth_L)
    indices = route_queries(story.q, torch.cat((story.means, own), dim=2), rules, story.routing)
    none = np.zeros(story.layout.chunks, dtype=np.bool_)
    groups = tuple(
        QueryGroup(
            shot=story.shot,
            start=nth * case.chunk,
            stop=(nth + 1) * case.chunk,
            own=np.arange(story.layout.chunks) == first + nth,
            captions=none,
            pinned=none,
        )
        for nth in range(case.chunks)
    )
    selection = Selection(indices=indices, groups=groups, layout=story.layout)
    out = moc_attention(story.q, story.k, story.v, story.layout, selection, backend)
    own_chunk = (first + nth_L)[None, :, None].expand(case.heads, -1, 1)
    return Result(out=out, chosen_HLK=torch.cat((indices[0], own_chunk), dim=-1))
