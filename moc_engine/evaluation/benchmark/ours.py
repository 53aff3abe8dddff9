"""Contestants that choose and attend by our backends, eagerly or replayed from a CUDA graph, and "auto"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import torch

from moc_engine.config import RoutingConfig
from moc_engine.evaluation.benchmark.cases import Case
from moc_engine.evaluation.benchmark.contestant import Contestant, NotPossible, Result, Run
from moc_engine.evaluation.benchmark.routed import (
    attend,
    check_supported,
    choose,
    need_of,
    variant_of,
    work_of,
)
from moc_engine.evaluation.benchmark.story import Story
from moc_engine.ops.backend import AttentionBackend
from moc_engine.ops.full_attention import resolved_full_below
from moc_engine.ops.moc_attention import moc_attention
from moc_engine.ops.registry import choose_backend
from moc_engine.ops.routing import route

CAPTURED: Final = "CUDA graph"
"""In the name of what is replayed from one."""


def ours(backend: AttentionBackend, *, name: str | None = None) -> Contestant:
    """One of our backends, choosing included."""

    def prepare(story: Story) -> Run:
        check_supported(backend, story)
        note = variant_of(backend, story)

        def run() -> Result:
            return replace(attend(backend, story, choose(story)), note=note)

        return run

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

    def prepare(story: Story) -> Run:
        check_supported(backend, story)
        rotary = story.rotary

        def run() -> Result:
            return attend(backend, story, choose(story), rotary=rotary)

        return run

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

    def prepare(story: Story) -> Run:
        pinned = [x.cpu().pin_memory() if x.is_cuda else x for x in (story.history_k, story.history_v)]
        far = replace(story, history_k=pinned[0], history_v=pinned[1])
        check_supported(backend, far)

        def run() -> Result:
            return attend(backend, far, choose(story))

        return run

    return Contestant(
        name=f"{backend.name}, history in main memory",
        kind="ours",
        prepare=prepare,
        chooses=True,
        gradients=False,
    )


def captured(contestant: Contestant) -> Contestant:
    """The same replayed from a CUDA graph, which leaves out the time to launch kernels."""

    def prepare(story: Story) -> Run:
        run = contestant.prepare(story)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph):
                result = run()
        except RuntimeError as error:
            raise NotPossible(f"cannot be captured: {str(error).splitlines()[0]}") from error

        def replay() -> Result:
            graph.replay()
            return result

        return replay

    return Contestant(
        name=f"{contestant.name}, {CAPTURED}",
        kind=contestant.kind,
        prepare=prepare,
        chooses=contestant.chooses,
        gradients=False,
    )


def auto(story: Story) -> Run:
    """`route` and `moc_attention` with the settings "auto": full attention where routing would be slower."""
    config = RoutingConfig(top_k=story.case.top_k, full_below="auto")
    own = story.means.new_zeros(1, story.case.heads, story.case.chunks, story.case.width)
    means, k, v = torch.cat((story.means, own), dim=2), story.k, story.v

    def run() -> Result:
        selection = route(story.q, None, story.layout, story.shot, config, descriptors=means)
        out = moc_attention(story.q, k, v, story.layout, selection)
        if selection.groups[0].full is not None:
            return Result(out=out, note="full attention")
        return Result(out=out, chosen_HLK=selection.indices[0], own_shot=True, note="routed")

    return run


def auto_in_a_render(story: Story) -> Run:
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
    work = work_of(story, None if full else case.top_k)
    backend = choose_backend("auto", replace(need_of(story), work=work)).backend
    if not full:
        note = f"routed, {backend.name}"
        return lambda: replace(attend(backend, story, choose(story)), note=note)
    none = torch.empty(*story.q.shape[:3], 0, dtype=torch.int64, device=story.q.device)
    everything, note = range(case.candidates), f"full attention, {backend.name}"

    def run() -> Result:
        return Result(out=attend(backend, story, none, pinned=everything).out, note=note)

    return run
