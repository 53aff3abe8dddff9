"""Processes that compute together, forked from one server in which torch is imported."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import torch

from moc_engine.ops.head_split import HeadSplit
from moc_engine.render.render_group import join_group


def fork_context() -> ForkServerContext:
    """Starts processes in which the engine is imported already, where all that it needs is installed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "moc_engine.render.renderer", "moc_engine.models.wan.loader"])
    return context


def together(processes: int, folder: Path, work: Callable[..., Any], *given: Any) -> list[Any]:
    """What `work(split, *given)` returns in each of so many processes, or None where one failed."""
    context = fork_context()
    links: list[Connection[Any, Any]] = []
    members = []
    for rank in range(processes):
        ours, theirs = context.Pipe()
        args = (theirs, rank, processes, folder / "meeting", work, given)
        member = context.Process(target=_member, args=args, daemon=True)
        member.start()
        theirs.close()
        links.append(ours)
        members.append(member)
    try:
        results: dict[int, Any] = {}
        while len(results) < processes:
            ready = wait([link for rank, link in enumerate(links) if rank not in results], 120)
            assert ready, "the processes wait for each other"
            for rank, link in enumerate(links):
                if link in ready:
                    said = link.recv()
                    assert not isinstance(said, _Failure), said.text
                    results[rank] = said
        return [results[rank] for rank in range(processes)]
    finally:
        for member in members:
            member.kill()
            member.join()


class _Failure:
    def __init__(self, text: str) -> None:
        self.text = text


def _member(
    link: Connection[Any, Any],
    rank: int,
    processes: int,
    meeting: Path,
    work: Callable[[HeadSplit], Any],
    given: tuple[Any, ...],
) -> None:
    try:
        torch.set_num_threads(1)
        link.send(work(join_group(rank, processes, meeting).split, *given))
    except BaseException:
        link.send(_Failure(traceback.format_exc()))
    link.recv()  # until it is killed: the others may still need this one
