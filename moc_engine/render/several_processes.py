"""Renders each shot by several processes of this machine together. No torch.

    request ─► each process ─► events and result of the first

The processes are started by the first render, and keep the model between renders. Where one of them dies or
fails alone, all are ended, and the next render starts new ones.
"""

from __future__ import annotations

import multiprocessing
import tempfile
import time
import weakref
from collections.abc import Generator
from contextlib import ExitStack
from dataclasses import replace
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from moc_engine.contract import CancelToken, ContextTake, RenderEvent, RenderRequest, RenderResult
from moc_engine.errors import EngineError, RenderCancelled
from moc_engine.files import remove_abandoned
from moc_engine.render.group_member import CANCEL, Ended, MakeMember, run_member
from moc_engine.stored_file import LocalFile, StoredFile

GRACE: Final = 3.0
"""Seconds that processes have to end a render that ended in one of them; they hear of it within a step."""

CANCEL_GRACE: Final = 60.0
"""Seconds that a cancelled render has to end in all processes: a step of a large model may take as long."""

_LOOK: Final = 0.1
"""Seconds between two looks at the cancel token."""


class SeveralProcesses:
    """A renderer (`contract.Renderer`) of so many `processes`, whose members `make` makes in each of them.

    A process that does not end a render within `grace` seconds of another one's failure is killed with all
    others, which is what a process that waits for a dead one needs.
    """

    def __init__(
        self,
        make: MakeMember,
        processes: int,
        *,
        grace: float = GRACE,
        context: SpawnContext | ForkServerContext | None = None,
    ) -> None:
        if processes < 2:
            raise ValueError(f"processes: must be 2 or more, got {processes}")
        self._make = make
        self._processes = processes
        self._grace = grace
        self._context = context or multiprocessing.get_context("spawn")
        self._group: _Group | None = None

    def render(
        self, request: RenderRequest, cancel: CancelToken | None = None
    ) -> Generator[RenderEvent, None, RenderResult]:
        """As `contract.Renderer`. Raises `EngineError` where a process died."""
        with ExitStack() as files:
            local = _with_local_files(request, files)
            group = self._started()
            try:
                group.begin(local)
                result = yield from self._followed(group, cancel)
            except BaseException:
                if not group.in_step:
                    self._end(group, request)
                raise
            return result

    def close(self) -> None:
        """Ends the processes, which also end when nothing refers to the renderer any more."""
        if self._group is not None:
            self._group.kill()
            self._group = None

    def _started(self) -> _Group:
        if self._group is None:
            self._group = _Group(self._make, self._processes, self._context)
            weakref.finalize(self, self._group.kill)
        return self._group

    def _followed(
        self, group: _Group, cancel: CancelToken | None
    ) -> Generator[RenderEvent, None, RenderResult]:
        until: float | None = None
        while not group.idle:
            if cancel is not None and cancel.is_set() and not group.cancelled:
                group.cancel()
                until = time.monotonic() + CANCEL_GRACE
            yield from group.heard(_LOOK)
            if group.dead is not None:
                raise EngineError(group.dead)
            if group.failure is not None and until is None:
                until = time.monotonic() + self._grace
            if until is not None and time.monotonic() > until and not group.idle:
                if group.failure is None:
                    raise RenderCancelled("the render was cancelled, and ended with its processes")
                raise group.failure
        if group.failure is not None:
            raise group.failure
        result = group.result
        assert result is not None, "the first process has one"
        return result

    def _end(self, group: _Group, request: RenderRequest) -> None:
        group.kill()
        self._group = None
        if request.output.is_dir():
            remove_abandoned(request.output)


class _Group:
    """The processes, and what is known of the render at hand."""

    def __init__(self, make: MakeMember, processes: int, context: SpawnContext | ForkServerContext) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="moc-processes-", ignore_cleanup_errors=True)
        self._members: list[tuple[BaseProcess, Any]] = []  # with our end of its pipe
        meeting = Path(self._folder.name) / "meeting"
        for rank in range(processes):
            ours, theirs = context.Pipe()
            process = context.Process(
                target=run_member,
                args=(theirs, make, rank, processes, meeting),
                name=f"process {rank + 1} of {processes}",
                daemon=True,
            )
            process.start()
            theirs.close()
            self._members.append((process, ours))
        self._ended: dict[int, Ended] = dict.fromkeys(range(processes), Ended())
        self.cancelled = False
        self.failure: BaseException | None = None
        self.dead: str | None = None

    @property
    def idle(self) -> bool:
        """Whether all processes are there and have ended the render."""
        return self.dead is None and len(self._ended) == len(self._members)

    @property
    def in_step(self) -> bool:
        """Whether the processes can render on: all ended the render, and for one reason where it failed."""
        if not self.idle:
            return False
        leader, *others = (type(ended.error) for ended in self._ended.values())
        return all(kind in (leader, type(None)) for kind in others)

    @property
    def result(self) -> RenderResult | None:
        return self._ended[0].result

    def begin(self, request: RenderRequest) -> None:
        """Sends a request to all. Raises `EngineError` where one died since the last one."""
        self._ended, self.cancelled, self.failure = {}, False, None
        self._send(request)
        if self.dead is not None:
            raise EngineError(self.dead)

    def cancel(self) -> None:
        self.cancelled = True
        self._send(CANCEL)

    def heard(self, seconds: float) -> Generator[RenderEvent, None, None]:
        """The events that come within so many seconds. Notes which processes ended the render, or died."""
        waiting: dict[Any, int] = {
            connection: rank for rank, (_, connection) in enumerate(self._members) if rank not in self._ended
        }
        for ready in wait([*waiting], seconds):
            rank = waiting[ready]
            try:
                said = self._members[rank][1].recv()
            except (EOFError, OSError):
                self._note_death(rank)
                return
            if not isinstance(said, Ended):
                yield said
                continue
            self._ended[rank] = said
            self._ended = dict(sorted(self._ended.items()))
            if said.error is not None and self.failure is None:
                self.failure = said.error
        for rank, (process, _) in enumerate(self._members):
            if not process.is_alive():
                self._note_death(rank)
                return

    def kill(self) -> None:
        for process, connection in self._members:
            process.kill()
            connection.close()
        for process, _ in self._members:
            process.join()
            process.close()
        self._members.clear()
        self._folder.cleanup()

    def _send(self, what: object) -> None:
        for rank, (_, connection) in enumerate(self._members):
            if rank not in self._ended:
                try:
                    connection.send(what)
                except OSError:
                    self._note_death(rank)
                    return

    def _note_death(self, rank: int) -> None:
        process = self._members[rank][0]
        process.join(1.0)
        code = process.exitcode
        how = "ended" if code is None or code >= 0 else f"was ended by signal {-code}"
        hint = ", as where main memory runs out" if code == -9 else ""
        self.dead = f"process {rank + 1} of the {len(self._members)} that render together {how}{hint}"


def _with_local_files(request: RenderRequest, files: ExitStack) -> RenderRequest:
    """The request with files as other processes of this machine can read them, until `files` are closed."""

    def local(file: StoredFile) -> LocalFile:
        return LocalFile(files.enter_context(file.local()))

    def with_local_latents(take: ContextTake) -> ContextTake:
        return take if take.latents is None else replace(take, latents=local(take.latents))

    first, guide, control = request.first_frame, request.guide, request.control
    return replace(
        request,
        context=tuple(map(with_local_latents, request.context)),
        first_frame=None if first is None else local(first),
        guide=None if guide is None else replace(guide, clip=local(guide.clip)),
        control=None if control is None else replace(control, clip=local(control.clip)),
        references=tuple(local(file) for file in request.references),
    )
