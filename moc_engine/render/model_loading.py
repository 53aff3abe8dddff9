"""Loads a model in a thread of its own, so that a render can report progress and be cancelled meanwhile.

load_parts (thread) ─► LoadedParts ─► queue ─► StepEvents of the stage "load"
"""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Final, Protocol

from moc_engine.collection import collection_suspended
from moc_engine.contract import CancelToken, StepEvent
from moc_engine.errors import RenderCancelled
from moc_engine.models.backbone import Backbone
from moc_engine.models.registry import LoadedParts


class LoadParts(Protocol):
    """A loading such as `moc_engine.models.loading.load_parts`: model, device and name of a profile."""

    def __call__(
        self, source: str | Path | None, device: str | None, *, profile: str
    ) -> Generator[LoadedParts, None, Backbone]: ...


LOOK_EVERY: Final = 0.05
"""Seconds between two looks at the cancel token."""

EVENT_EVERY: Final = 1.0
"""Seconds after which the last progress is reported again, so that a caller regains control."""


class ModelLoading:
    """Loads one model by a profile; `events` reports the progress and returns the model.

    A loading that is cancelled ends within `LOOK_EVERY` seconds for its caller. Its thread ends with the part
    that it is loading, which cannot be interrupted, and lets go of what it had loaded.
    """

    def __init__(
        self,
        load: LoadParts,
        source: str | Path | None,
        device: str | None,
        *,
        event_every: float = EVENT_EVERY,
    ) -> None:
        self._event_every = event_every
        self._load = load
        self._source = source
        self._device = device
        self._thread: Thread | None = None

    def events(
        self, cancel: CancelToken | None, profile: str = "auto"
    ) -> Generator[StepEvent, None, Backbone]:
        """Starts to load, once a loading before has ended. Raises `RenderCancelled`."""
        progress: SimpleQueue[LoadedParts | Backbone | BaseException] = SimpleQueue()
        stop = Event()
        self._thread = Thread(
            target=self._run, args=(self._thread, profile, progress, stop), name="load model", daemon=True
        )
        self._thread.start()
        try:
            return (yield from _followed(progress, cancel, self._event_every))
        finally:
            stop.set()

    def _run(
        self,
        before: Thread | None,
        profile: str,
        progress: SimpleQueue[LoadedParts | Backbone | BaseException],
        stop: Event,
    ) -> None:
        if before is not None:
            before.join()
        try:
            loading = self._load(self._source, self._device, profile=profile)
            while not stop.is_set():
                try:
                    with collection_suspended():
                        part = next(loading)
                    progress.put(part)
                except StopIteration as done:
                    progress.put(done.value)
                    return
        except BaseException as error:
            progress.put(error)


def _followed(
    progress: SimpleQueue[LoadedParts | Backbone | BaseException],
    cancel: CancelToken | None,
    event_every: float,
) -> Generator[StepEvent, None, Backbone]:
    event: StepEvent | None = None
    reported = time.monotonic()
    while True:
        if cancel is not None and cancel.is_set():
            raise RenderCancelled("the render was cancelled")
        try:
            news = progress.get(timeout=LOOK_EVERY)
        except Empty:
            if event is None or time.monotonic() - reported < event_every:
                continue
        else:
            if isinstance(news, BaseException):
                raise news
            if not isinstance(news, LoadedParts):
                return news
            event = StepEvent(stage="load", step=news.done, steps=news.parts, seconds_left=None)
        reported = time.monotonic()
        yield event
