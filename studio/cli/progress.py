"""The progress of a render on stderr: a bar with the time left, or a line for each shot."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Generator
from dataclasses import replace
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from moc_engine.contract import CancelToken, Renderer, RenderEvent, RenderRequest, RenderResult, StepEvent
from studio.jobs.estimate import Rates, time_left
from studio.service.rendering import PlannedShot

RUNS_MODEL: Final = ("memory", "denoise")
"""Stages in which the model's blocks run."""


class ReportingRenderer:
    """Renders as another renderer does, and passes on the position of each shot and what it reports.

    No previews are made, as a command shows none.
    """

    def __init__(self, inner: Renderer, report: Callable[[int, RenderEvent | None], None]) -> None:
        self._inner = inner
        self._report = report

    def render(
        self, request: RenderRequest, cancel: CancelToken | None = None
    ) -> Generator[RenderEvent, None, RenderResult]:
        self._report(request.shot, None)
        rendering = self._inner.render(replace(request, previews=0), cancel)
        while True:
            try:
                event = next(rendering)
            except StopIteration as stop:
                result: RenderResult = stop.value
                return result
            self._report(request.shot, event)
            yield event


class RenderProgress:
    """Shows how much of the planned shots is rendered; `rendered` are the positions of those begun.

    `rates_known`: whether the rates were measured; otherwise no time is told before one shot is done.
    `compiles`: the model is compiled when it first runs, which is told, as its first step takes minutes.
    """

    def __init__(
        self,
        planned: Collection[PlannedShot],
        rates: Rates,
        *,
        rates_known: bool = True,
        compiles: bool = False,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self._console = console or Console(stderr=True, highlight=False)
        self._compiles = compiles
        self._compiling = False
        self._shots = len(planned)
        self._inputs = {shot.index: shot.inputs for shot in planned if shot.action == "render"}
        self._work = {index: rates.seconds(inputs) for index, inputs in self._inputs.items()}
        self._total = sum(self._work.values())
        self._rates = rates
        self._left_known = rates_known
        self._done = 0.0
        self._reached = 0.0
        self._began = clock()
        self._loading_since: float | None = self._began
        self._loading = 0.0
        self._rendered: set[int] = set()
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=40),
            TaskProgressColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._bar = Progress(
            *columns, console=self._console, transient=True, disable=not self._console.is_terminal
        )
        self._task = self._bar.add_task("loading the model", total=self._total, left="")

    @property
    def rendered(self) -> frozenset[int]:
        return frozenset(self._rendered)

    @property
    def shown(self) -> float:
        """The expected seconds of work that are shown as done."""
        return float(self._bar.tasks[self._task].completed)

    def __enter__(self) -> RenderProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def report(self, index: int, event: RenderEvent | None) -> None:
        """Shows what the renderer reports of the shot at `index`; None: it begins."""
        self._rendered.add(index)
        self._tell_compiling(event)
        self._note_loading(event)
        if event is None or index not in self._inputs:
            self._reached = 0.0
            self._show(self._done, f"shot {index + 1}: begins")
        else:
            # a stage may come once more, such as the memory of a second expert
            self._reached = done = max(self._reached, self._rates.done(self._inputs[index], event))
            words = "compiling the model" if self._compiling else event.stage
            self._show(self._done + done, f"shot {index + 1}: {words}")

    def _tell_compiling(self, event: RenderEvent | None) -> None:
        """Tells once that the model is being compiled: from its first run until a step of it is done."""
        if event is None or event.stage not in RUNS_MODEL:
            return
        if isinstance(event, StepEvent):
            self._compiling = False
        elif self._compiles:
            self._compiles, self._compiling = False, True
            self._console.print("compiling the model; the first step may take minutes", markup=False)

    def _note_loading(self, event: RenderEvent | None) -> None:
        """Sums up the time in which the model is loaded, which tells nothing of how fast it renders."""
        now = self._clock()
        if self._loading_since is not None:
            self._loading += now - self._loading_since
        self._loading_since = now if event is not None and event.stage == "load" else None

    def finished(self, index: int, spent: float) -> None:
        """Tells that a shot is finished, and that its take needed `spent` seconds."""
        if index not in self._rendered:
            return
        self._done += self._work.get(index, 0.0)
        self._left_known = True
        more = f", {in_words(self._left(self._done))} left" if self._done < self._total else ""
        self._console.print(f"shot {index + 1} of {self._shots} done in {spent:.1f} s{more}", markup=False)

    def _show(self, done: float, text: str) -> None:
        left = f"{in_words(self._left(done))} left" if self._left_known else ""
        self._bar.update(self._task, completed=done, description=text, left=left)

    def _left(self, done: float) -> float:
        return time_left(done, self._total, self._clock() - self._began - self._loading)


def in_words(seconds: float) -> str:
    """75.2 -> "1 min 15 s", 7300 -> "2 h 2 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
