"""A renderer that tells where another one is, so that something can befall it there."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path, PosixPath
from typing import IO, Any, cast

from moc_engine.contract import CancelToken, Renderer, RenderEvent, RenderRequest, RenderResult


class StagedRenderer:
    """Renders as `inner` does; `at` is told each moment of a render, and what it raises befalls that.

    Moments are "denoise 3" when the renderer looks for the fourth time in that stage whether it is to end,
    "made" when it is done, and "keep" while its files are put where they are kept.
    """

    def __init__(self, inner: Renderer) -> None:
        self.inner = inner
        self.at: Callable[[str], None] = lambda moment: None

    def render(
        self, request: RenderRequest, cancel: CancelToken | None = None
    ) -> Generator[RenderEvent, None, RenderResult]:
        token = _Asked(cancel, self)
        rendering = self.inner.render(request, token)
        while True:
            try:
                event = next(rendering)
            except StopIteration as stop:
                result: RenderResult = stop.value
                break
            token.enter(event.stage)
            yield event
        self.at("made")
        trace = _Told(result.trace)
        trace.told = lambda: self.at("keep")
        return replace(result, trace=trace)


class _Asked:
    """The token that the renderer looks at."""

    def __init__(self, cancel: CancelToken | None, renderer: StagedRenderer) -> None:
        self._cancel = cancel
        self._renderer = renderer
        self._stage = "load"
        self._asked = 0

    def enter(self, stage: str) -> None:
        if stage != self._stage:
            self._stage, self._asked = stage, 0

    def is_set(self) -> bool:
        self._renderer.at(f"{self._stage} {self._asked}")
        self._asked += 1
        return self._cancel is not None and self._cancel.is_set()


class _Told(PosixPath):
    """A file that tells when it is opened."""

    told: Callable[[], None]

    def open(self, *args: Any, **kwargs: Any) -> IO[Any]:  # type: ignore[override]
        self.told()
        return cast(IO[Any], Path(self).open(*args, **kwargs))
