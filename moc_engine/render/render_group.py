"""The processes that render one shot together, seen from one of them.

All go through the same stages and steps; between them they agree on whether the render ends early. The first
one leads: it reports events, decodes and writes the files.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import torch
import torch.distributed as dist

from moc_engine.config import RENDER_ROUTERS
from moc_engine.contract import CancelToken, RenderRequest
from moc_engine.errors import EngineError, RenderCancelled
from moc_engine.machine import best_device, cores
from moc_engine.ops.head_split import HeadSplit

PATIENCE: Final = timedelta(days=1)
"""How long a process waits for another, which may load a model meanwhile. One that died is seen at once by
those that started them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RenderGroup:
    """The place of this process among those that render a shot together, and the device it computes on."""

    split: HeadSplit
    device: str

    @property
    def leads(self) -> bool:
        """Whether this is the process that reports and writes."""
        return self.split.rank == 0

    def agreed(self, cancel: CancelToken | None) -> AgreedCancel:
        """A token that is set for all processes once it is for one, where all ask it equally often."""
        return AgreedCancel(cancel)

    @contextmanager
    def settled(self) -> Iterator[None]:
        """All processes leave the block together. What one raises within ends the render of all."""
        error: EngineError | None = None
        try:
            yield
        except EngineError as raised:
            error = raised
        outcomes: list[EngineError | None] = [None] * self.split.processes
        dist.all_gather_object(outcomes, error)
        if error is not None:
            raise error
        for outcome in outcomes:
            if isinstance(outcome, RenderCancelled):
                raise outcome
        for rank, outcome in enumerate(outcomes):
            if outcome is not None:
                raise EngineError(f"process {rank + 1} of {len(outcomes)}: {outcome}")


@dataclass(frozen=True, eq=False)
class AgreedCancel:
    """Set once that of any process is: each question is an exchange of all processes."""

    own: CancelToken | None

    def is_set(self) -> bool:
        flag = torch.tensor([self.own is not None and self.own.is_set()], dtype=torch.int32)
        dist.all_reduce(flag, dist.ReduceOp.MAX)
        return bool(flag.item())


def check_for_group(request: RenderRequest) -> None:
    """Raises `EngineError` for what a request asks for and only one process can do."""
    if request.step_cache is not None:
        raise EngineError(
            f"the step cache {request.step_cache} decides by what one process computes which blocks run: "
            "render with one process, or without the cache"
        )
    router = request.routing.router
    if router is not None and router not in RENDER_ROUTERS:
        raise EngineError(
            f"the router {router} may look at all heads of a layer: render with one process, or with one of "
            f"{', '.join(RENDER_ROUTERS)}"
        )


def join_group(rank: int, processes: int, meeting: Path) -> RenderGroup:
    """Joins the processes of this machine that meet by a file, and waits for all of them.

    With GPUs each process has one of its own, and they talk by NCCL; else they share the cores, and talk by
    gloo. Raises `EngineError` where there are fewer GPUs than processes.
    """
    kind = best_device()
    if kind == "cuda" and torch.cuda.device_count() < processes:
        raise EngineError(
            f"{processes} processes need as many GPUs, and this machine has {torch.cuda.device_count()}: "
            "render with fewer processes"
        )
    if kind not in ("cuda", "cpu"):
        raise EngineError(f"several processes need NVIDIA GPUs or a CPU; this machine computes on {kind}")
    if sys.platform.startswith("linux"):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")  # all are on this machine
    device = "cpu"
    if kind == "cuda":
        device = f"cuda:{rank}"
        torch.cuda.set_device(rank)
    elif "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, cores() // processes))
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo",
        init_method=meeting.absolute().as_uri(),
        rank=rank,
        world_size=processes,
        timeout=PATIENCE,
    )
    assert dist.group.WORLD is not None
    return RenderGroup(split=HeadSplit.of(dist.group.WORLD), device=device)
