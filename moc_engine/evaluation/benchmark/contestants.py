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

from collections.abc import Iterator
from importlib.util import find_spec

import torch

from moc_engine.evaluation.benchmark.cases import Case
from moc_engine.evaluation.benchmark.contestant import Contestant
from moc_engine.evaluation.benchmark.ours import auto, auto_in_a_render, ours, triton_variants
from moc_engine.evaluation.benchmark.peers import dense, flex, radial, static, token_causal, window
from moc_engine.ops.backend import AttentionBackend
from moc_engine.ops.registry import BUILT_IN, find_backend


def contestants(device: torch.device, case: Case, *, compiled: bool = True) -> Iterator[Contestant]:
    """Those that take part in a case; without `compiled` none that takes long to compile."""
    yield from dense(device)
    backends = list(_backends(device))
    for backend in backends:
        yield ours(backend)
        if backend.name == "triton":
            yield from triton_variants(device, case)
    yield Contestant(name="auto", kind="auto", prepare=auto, joined=True)
    yield Contestant(name="auto in a render", kind="auto", prepare=auto_in_a_render)
    if case.peers:
        best = next(b for name in ("triton", "grouped") for b in backends if b.name == name)
        if compiled:
            yield Contestant(name="FlexAttention", kind="sparse", prepare=flex, joined=True, gradients=False)
        yield static("sliding window", best, window)
        yield static("radial", best, radial)
        yield token_causal(best)


def _backends(device: torch.device) -> Iterator[AttentionBackend]:
    """Our backends that are there, without the reference; `triton` where it is compiled."""
    yield from (backend for name, backend in BUILT_IN.items() if name != "naive")
    if device.type == "cuda" and find_spec("triton") is not None:
        yield find_backend("triton")
