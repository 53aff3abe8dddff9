"""What is compared: our backends, dense attention, and other ways to attend to part of a history.

    ours           routes and attends by one of our backends, eagerly or replayed from a CUDA graph
    auto           what the settings "auto" do: full attention or routing, and which backend
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
from importlib.util import find_spec
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from moc_engine.config import RoutingConfig
from moc_engine.evaluation.benchmark.cases import Case
from moc_engine.evaluation.benchmark.check import SCALES
from moc_engine.evaluation.benchmark.flex import missing_for_flex, prepare_flex
from moc_engine.evaluation.benchmark.story import Story
from moc_engine.evaluation.generation.routers import radial_scores
from moc_engine.ops.backend import AttentionBackend, Need, Work
from moc_engine.ops.choice import fits
from moc_engine.ops.choosing import ChunkRules, route_queries
from moc_engine.ops.full_attention import resolved_full_below
from moc_engine.ops.moc_attention import moc_attention
from moc_engine.ops.registry import BUILT_IN, choose_backend, find_backend
from moc_engine.ops.rotary import Rotary
from moc_engine.ops.routing import route
from moc_engine.ops.selection import QueryGroup, Selection

CAPTURED: Final = "CUDA graph"
"""In the name of what is replayed from one."""

Kind = Literal["ours", "auto", "dense", "sparse", "static", "token-causal"]


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
    story side by side. It is checked at inputs of `scales`, against attention over what `reference` makes of
    the story. Raises `NotPossible` where it cannot take part.
    """

    name: str
    kind: Kind
    prepare: Callable[[Story], Attend]
    chooses: bool = False
    joined: bool = False
    gradients: bool = True
    scales: tuple[float, ...] = SCALES
    reference: Callable[[Story], Story] = lambda story: story


def contestants(device: torch.device, case: Case, *, compiled: bool = True) -> Iterator[Contestant]:
    """Those that take part in a case; without `compiled` none that takes long to compile."""
    yield from _dense(device)
    backends = list(_backends(device))
    for backend in backends:
        yield ours(backend)
        if backend.name == "triton":
            yield from triton_variants(device, case)
    yield Contestant(name="auto", kind="auto", prepare=_auto, joined=True)
    yield Contestant(name="auto in a render", kind="auto", prepare=_auto_in_a_render)
    if case.peers:
        best = next(b for name in ("triton", "grouped") for b in backends if b.name == name)
        if compiled:
            yield Contestant(name="FlexAttention", kind="sparse", prepare=_flex, joined=True, gradients=False)
        yield static("sliding window", best, _window)
        yield static("radial", best, _radial)
        yield token_causal(best)


def _backends(device: torch.device) -> Iterator[AttentionBackend]:
    """Our backends that are there, without the reference; `triton` where it is compiled."""
    yield from (backend for name, backend in BUILT_IN.items() if name != "naive")
    if device.type == "cuda" and find_spec("triton") is not None:
        yield find_backend("triton")


def ours(backend: AttentionBackend, *, name: str | None = None) -> Contestant:
    """One of our backends, choosing included."""

    def prepare(story: Story) -> Attend:
        _check_supported(backend, story)
        note = _variant(backend, story)

        def attend() -> Attended:
            return replace(_attend(backend, story, choose(story)), note=note)

        return attend

    return Contestant(name=name or backend.name, kind="ours", prepare=prepare, chooses=True)


def triton_variants(device: torch.device, case: Case) -> Iterator[Contestant]:
    """Other ways of the backend `triton`, which it takes by itself where memory asks for them."""
    from moc_engine.ops.triton.attending import triton_backend
    from moc_engine.ops.triton.kernel_options import Options

    usual = triton_backend(Options())
    if device.type == "cuda" and case.part != "backward":
        yield captured(ours(usual))
    if case.variants:
        yield ours(triton_backend(Options(partials="stored")), name="triton, partial outputs stored")
        yield ours(triton_backend(Options(partials="in place")), name="triton, merged in place")
        yield rotated_as_read(usual, name="triton, keys rotated into a buffer")
        loaded = triton_backend(Options(rotation="loaded"))
        yield rotated_as_read(loaded, name="triton, keys rotated as they are loaded")
        yield far_history(usual)


def rotated_as_read(backend: AttentionBackend, *, name: str) -> Contestant:
    """A backend that is given the history's keys before rotary embedding, with the embedding."""

    def prepare(story: Story) -> Attend:
        _check_supported(backend, story)
        rotary = story.rotary

        def attend() -> Attended:
            return _attend(backend, story, choose(story), rotary=rotary)

        return attend

    return Contestant(
        name=name,
        kind="ours",
        prepare=prepare,
        chooses=True,
        gradients=False,
        scales=(0.3, 1.0),
        reference=lambda story: story.with_rotated_history(),
    )


def far_history(backend: AttentionBackend) -> Contestant:
    """A backend that streams the history from main memory."""

    def prepare(story: Story) -> Attend:
        pinned = [x.cpu().pin_memory() if x.is_cuda else x for x in (story.history_k, story.history_v)]
        far = replace(story, history_k=pinned[0], history_v=pinned[1])
        _check_supported(backend, far)

        def attend() -> Attended:
            return _attend(backend, far, choose(story))

        return attend

    return Contestant(
        name=f"{backend.name}, history in main memory",
        kind="ours",
        prepare=prepare,
        chooses=True,
        gradients=False,
    )


def _variant(backend: AttentionBackend, story: Story) -> str | None:
    need = replace(_need(story), work=_work(story, story.case.top_k))
    return None if backend.variant is None else backend.variant(need) or None


def _work(story: Story, top_k: int | None) -> Work:
    case = story.case
    return Work(
        rows=case.heads,
        tokens=case.queries,
        top_k=top_k,
        head_size=case.width,
        history_offsets=story.history.offsets,
    )


def choose(story: Story) -> Tensor:
    """The chunks of the history (1, H, L, K) that each query chooses, as a render chooses them."""
    candidates = torch.ones(1, 1, story.case.candidates, dtype=torch.bool, device=story.q.device)
    return route_queries(story.q, story.means, ChunkRules(candidates=candidates), story.routing)


def _attend(
    backend: AttentionBackend,
    story: Story,
    indices: Tensor,
    *,
    pinned: Sequence[int] = (),
    rotary: Rotary | None = None,
) -> Attended:
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
    return Attended(out=out, chosen_HLK=indices[0], own_shot=True)


def _need(story: Story) -> Need:
    return Need(
        form="history",
        device=story.q.device.type,
        dtype=story.q.dtype,
        history_device=story.history_k.device.type,
        gradients=story.q.requires_grad,
    )


def _check_supported(backend: AttentionBackend, story: Story) -> None:
    missing = backend.missing(_need(story))
    if missing is not None:
        raise NotPossible(f"does not support {missing}")
    if not fits(backend.name, replace(_need(story), work=_work(story, story.case.top_k))):
        raise NotPossible("is for small shots with short chunks")


def _auto(story: Story) -> Attend:
    """`route` and `moc_attention` with the settings "auto": full attention where routing would be slower."""
    config = RoutingConfig(top_k=story.case.top_k, full_below="auto")
    own = story.means.new_zeros(1, story.case.heads, story.case.chunks, story.case.width)
    means, k, v = torch.cat((story.means, own), dim=2), story.k, story.v

    def attend() -> Attended:
        selection = route(story.q, None, story.layout, story.shot, config, descriptors=means)
        out = moc_attention(story.q, k, v, story.layout, selection)
        if selection.groups[0].full is not None:
            return Attended(out=out, note="full attention")
        return Attended(out=out, chosen_HLK=selection.indices[0], own_shot=True, note="routed")

    return attend


def _auto_in_a_render(story: Story) -> Attend:
    """The same as a render does it: with the attended mass of every chunk, which its trace holds."""
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
    work = _work(story, None if full else case.top_k)
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
        name=f"{contestant.name}, {CAPTURED}",
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
