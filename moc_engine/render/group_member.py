"""One of the processes that render shots together: it renders what it is sent, until nobody sends any more.

connection ─► RenderRequest | CANCEL          connection ◄─ events (of the first process) | Ended
"""

from __future__ import annotations

import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final, Protocol

from moc_engine.contract import CancelToken, RenderEvent, RenderRequest, RenderResult
from moc_engine.errors import EngineError
from moc_engine.render.render_group import RenderGroup, join_group

CANCEL: Final = "cancel"
"""Sent to end the render at hand."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """The end of a render in one process: the result, of the first one alone, or what it raised."""

    result: RenderResult | None = None
    error: BaseException | None = None


class Link(Protocol):
    """An end of a pipe between processes, such as a `multiprocessing.connection.Connection`."""

    def send(self, obj: Any, /) -> None: ...

    def recv(self) -> Any: ...


class Member(Protocol):
    """Renders its part of a shot, with the other processes of its group; only the first has a result."""

    def render_part(
        self, request: RenderRequest, cancel: CancelToken | None
    ) -> Generator[RenderEvent, None, RenderResult | None]: ...


MakeMember = Callable[[RenderGroup], Member]
"""Makes the member of this process once it has joined its group; it is sent to the process by pickle."""


def run_member(connection: Link, make: MakeMember, rank: int, processes: int, meeting: Path) -> None:
    """Renders request after request until the connection ends; then the process ends, whatever it does."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # those that started it are interrupted too
    requests: SimpleQueue[tuple[RenderRequest, threading.Event]] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, requests), name="requests", daemon=True).start()
    member: Member | None = None
    while True:
        request, cancel = requests.get()
        try:
            if member is None:
                member = make(join_group(rank, processes, meeting))
            ended = Ended(result=_rendered(member, request, cancel, connection if rank == 0 else None))
        except BaseException as error:
            ended = Ended(error=_sendable(error))
        connection.send(ended)


def _listen(connection: Link, requests: SimpleQueue[tuple[RenderRequest, threading.Event]]) -> None:
    cancel = threading.Event()
    with suppress(EOFError, OSError):
        while True:
            said = connection.recv()
            if said == CANCEL:
                cancel.set()
            else:
                cancel = threading.Event()
                requests.put((said, cancel))
    os._exit(0)  # nobody waits for what is being computed


def _rendered(
    member: Member,
    request: RenderRequest,
    cancel: CancelToken,
    events: Link | None,
) -> RenderResult | None:
    rendering = member.render_part(request, cancel)
    while True:
        try:
            event = next(rendering)
        except StopIteration as stop:
            result: RenderResult | None = stop.value
            return result
        if events is not None:
            events.send(event)


def _sendable(error: BaseException) -> BaseException:
    """The error, with its traceback as a note where it was not raised for people to read; one of the engine
    where it cannot be sent.
    """
    with suppress(Exception):
        if not isinstance(error, EngineError):
            error.add_note("".join(traceback.format_exception(error)))
        again = pickle.loads(pickle.dumps(error))
        if isinstance(again, type(error)):
            return error
    return EngineError(f"{type(error).__name__}: {error}")
