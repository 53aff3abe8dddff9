"""What is compared: our backends, dense attention, and other ways to attend to part of a history.

    ours           routes and attends by one of our backends, eagerly or replayed from a CUDA graph
    auto           what a render with the settings "auto" does: full attention or routing, and which backend
    dense          the whole history, by each kernel of torch's scaled dot-product attention
    sparse         compiled FlexAttention with the same selection: a block mask of it, then attention
    static         a sliding window, or fewer chunks the further back (radial): our backend, nothing chosen
    token-causal   as MoBA selects: each token's own chunk, and the best of all chunks before it

MoBA's selection differs from MoC's in that a query attends to its own chunk alone in full and has to choose
among the other chunks of its own shot as well, only those before it; MoC links whole shots to earlier ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.config import RoutingConfig
from moc_engine.evaluation.benchmark.cases import Case
from moc_engine.evaluation.benchmark.flex import missing_for_flex, prepare_flex
from moc_engine.evaluation.benchmark.story import Story
from moc_engine.evaluation.generation.routers import radial_scores
from moc_engine.ops.backend import AttentionBackend, Need, Work
from moc_engine.ops.choosing import ChunkRules, route_queries
from moc_engine.ops.full_attention import resolved_full_below
from moc_engine.ops.moc_attention import moc_attention
from moc_engine.ops.registry import BUILT_IN, choose_backend
from moc_engine.ops.selection import QueryGroup, Selection

Kind = Literal["ours", "auto", "dense", "sparse", "static", "token-causal"]

GATHERED_BYTES: Final = 1 << 30
"""Keys that the backend `gathered` may hold at once here: it is made for short chunks."""


class NotPossible(Exception):
    """Why a contestant cannot take part."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Attended:
    """The output (1, H, L, D) of a contestant, and what it attended to.

    `chosen_HLK` are chunks of the whole story, -1 for none; None: all. With `own_shot` the own shot besides.
    `note` says how it was computed, where that was chosen.
    """

    out: Tensor
    chosen_HLK: Tensor | None = None
    own_shot: bool = False
    note: str | None = None


Attend = Callable[[], Attended]


@dataclass(frozen=True, kw_only=True, eq=False)
class Contestant:
    """A way to attend. `prepare` does what is done once for a story, and returns what is timed.

    `chooses`: it chooses chunks as MoC does, which is checked too. `joined`: it reads the keys of the whole
    story side by side. Raises `NotPossible` where it cannot take part.
    """

    name: str
    kind: Kind
    prepare: Callable[[Story], Attend]
    chooses: bool = False
    joined: bool = False
    gradients: bool = True


def contestants(device: torch.device, case: Case, *, compiled: bool = True) -> Iterator[Contestant]:
    """Those that take part in a case; without `compiled` none that takes long to compile."""
    yield from _dense(device)
    backends = [backend for name, backend in BUILT_IN.items() if name != "naive"]
    for backend in backends:
        yield ours(backend)
        if device.type == "cuda" and backend.name != "gathered":
            yield captured(ours(backend))
    yield Contestant(name="auto", kind="auto", prepare=_auto)
    if case.peers:
        best = backends[-1] if device.type == "cuda" else BUILT_IN["grouped"]
        if compiled:
            yield Contestant(name="FlexAttention", kind="sparse", prepare=_flex, joined=True, gradients=False)
        yield static("sliding window", best, _window)
        yield static("radial", best, _radial)
        yield token_causal(best)


def ours(backend: AttentionBackend) -> Contestant:
    """One of our backends, choosing included."""

    def prepare(story: Story) -> Attend:
        _check_supported(backend, story)

        def attend() -> Attended:
            return _attend(backend, story, choose(story))

        return attend

    return Contestant(name=backend.name, kind="ours", prepare=prepare, chooses=True)


def choose(story: Story) -> Tensor:
    """The chunks of the history (1, H, L, K) that each query chooses, as a render chooses them."""
    candidates = torch.ones(1, 1, story.case.candidates, dtype=torch.bool, device=story.q.device)
    return route_queries(story.q, story.means, ChunkRules(candidates=candidates), story.routing)


def _attend(backend: AttentionBackend, story: Story, indices: Tensor, pinned: Sequence[int] = ()) -> Attended:
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
    )
    return Attended(out=out, chosen_HLK=indices[0], own_shot=True)


def _need(story: Story) -> Need:
    return Need(
        form="history",
        device=story.q.device.type,
        dtype=story.q.dtype,
        history_device=story.q.device.type,
        gradients=story.q.requires_grad,
    )


def _check_supported(backend: AttentionBackend, story: Story) -> None:
    missing = backend.missing(_need(story))
    if missing is not None:
        raise NotPossible(f"does not support {missing}")
    case = story.case
    if backend.name == "gathered":
        held = case.heads * case.queries * case.top_k * case.chunk * case.width * story.q.element_size()
        if held > GATHERED_BYTES:
            raise NotPossible(f"would gather {held / 2**30:.0f} GiB of keys at once")


def _auto(story: Story) -> Attend:
    """Full attention below a number of tokens, else routing; by the backend that "auto" picks."""
    case = story.case
    config = RoutingConfig(top_k=case.top_k, full_below="auto")
    below = resolved_full_below(
        config,
        story.q.device.type,
        rows=case.heads,
        tokens=case.queries,
        head_size=case.width,
        chunk_lengths=story.history.lengths,
    )
    full = case.context < below
    work = Work(
        rows=case.heads,
        tokens=case.queries,
        top_k=0 if full else case.top_k,
        head_size=case.width,
        history_offsets=story.history.offsets,
    )
    backend = choose_backend("auto", replace(_need(story), work=work)).backend
    if not full:
        note = f"routed, {backend.name}"
        return lambda: replace(_attend(backend, story, choose(story)), note=note)
    none = torch.empty(*story.q.shape[:3], 0, dtype=torch.int64, device=story.q.device)
    everything, note = range(case.candidates), f"full attention, {backend.name}"

    def attend() -> Attended:
        return Attended(out=_attend(backend, story, none, pinned=everything).out, note=note)

    return attend


def captured(contestant: Contestant) -> Contestant:
    """The same replayed from a CUDA graph, which leaves out the time to launch kernels."""

    def prepare(story: Story) -> Attend:
        work = contestant.prepare(story)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                work()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                attended = work()
        except RuntimeError as error:
            raise NotPossible(f"cannot be captured: {str(error).splitlines()[0]}") from error

        def replay() -> Attended:
            graph.replay()
            return attended

        return replay

    return Contestant(
        name=f"{contestant.name}, CUDA graph",
        kind=contestant.kind,
        prepare=prepare,
        chooses=contestant.chooses,
        gradients=False,
    )


def _dense(device: torch.device) -> Iterator[Contestant]:
    kernels = {"SDPA": SDPBackend.FLASH_ATTENTION}
    if device.type == "cuda":
        kernels = {
            "SDPA cuDNN": SDPBackend.CUDNN_ATTENTION,
            "SDPA flash": SDPBackend.FLASH_ATTENTION,
            "SDPA efficient": SDPBackend.EFFICIENT_ATTENTION,
        }
    for name, kernel in kernels.items():
        yield Contestant(name=name, kind="dense", prepare=partial(_sdpa, kernel), joined=True)


def _sdpa(kernel: SDPBackend, story: Story) -> Attend:
    k, v = story.k, story.v

    def attend() -> Attended:
        with sdpa_kernel(kernel):
            return Attended(out=scaled_dot_product_attention(story.q, k, v))

    try:
        attend()
    except RuntimeError as error:
        raise NotPossible(f"not on this machine: {str(error).splitlines()[0]}") from error
    return attend


def _flex(story: Story) -> Attend:
    missing = missing_for_flex(story.q.device)
    if missing is not None:
        raise NotPossible(missing)
    indices = choose(story)
    attend = prepare_flex(story, indices)

    def work() -> Attended:
        return Attended(out=attend(), chosen_HLK=indices[0], own_shot=True)

    return work


def static(name: str, backend: AttentionBackend, pattern: Callable[[Story], Tensor]) -> Contestant:
    """A pattern that is fixed beforehand, at the same number of chunks per query, through our backend."""

    def prepare(story: Story) -> Attend:
        _check_supported(backend, story)
        chunks = pattern(story)
        indices = chunks.to(story.q.device).expand(*story.q.shape[:3], len(chunks)).contiguous()
        return partial(_attend, backend, story, indices)

    return Contestant(name=f"{name} ({backend.name})", kind="static", prepare=prepare)


def _window(story: Story) -> Tensor:
    """The last chunks of the history."""
    chunks = story.case.candidates
    return torch.arange(max(0, chunks - story.case.top_k), chunks)


def _radial(story: Story) -> Tensor:
    """Fewer chunks of older shots: half as many per shot back."""
    case = story.case
    scores = radial_scores(case.shots - 1, case.chunks, slots=case.chunks, tokens=1, by_slot=False)
    return scores[0].topk(min(case.top_k, case.candidates)).indices.sort().values


def token_causal(backend: AttentionBackend) -> Contestant:
    """MoBA-like selection: own chunk in full, and the best earlier chunks, those of the own shot included."""

    def prepare(story: Story) -> Attend:
        if backend.over_layout is None:
            raise NotPossible(f"{backend.name} does not attend over one layout")
        return partial(_token_causal, backend.name, story)

    return Contestant(
        name=f"token-causal ({backend.name})", kind="token-causal", prepare=prepare, joined=True
    )


def _token_causal(backend: str, story: Story) -> Attended:
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
    return Attended(out=out, chosen_HLK=torch.cat((indices[0], own_chunk), dim=-1))
