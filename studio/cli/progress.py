"""How far a render is, on stderr: a bar with the time left on a terminal, a line a shot elsewhere."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from studio.domain.film_plan import PlannedShot
from studio.jobs.estimate import Rates, time_left
from studio.service.film import FilmEvent, ShotBegins, ShotEnds, ShotProgress

T = TypeVar("T")


def follow(events: Generator[FilmEvent, None, T], plan: Sequence[PlannedShot], rates: Rates) -> T:
    """Runs `events` to the end, shows how far they are, and returns their value."""
    console = Console(stderr=True, highlight=False)
    inputs = {shot.index: shot.inputs for shot in plan if shot.action == "render"}
    work = {index: rates.seconds(shot) for index, shot in inputs.items()}
    total = sum(work.values())
    behind = 0.0
    began = time.monotonic()
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=40),
        TaskProgressColumn(),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=total, left="")

        def show(done: float, text: str) -> None:
            left = time_left(done, total, time.monotonic() - began)
            bar.update(task, completed=done, description=text, left=f"{in_words(left)} left")

        while True:
            try:
                event = next(events)
            except StopIteration as stop:
                value: T = stop.value
                return value
            match event:
                case ShotBegins(index=index):
                    show(behind, f"shot {index + 1}: begins")
                case ShotProgress(index=index, event=report):
                    show(behind + rates.done(inputs[index], report), f"shot {index + 1}: {report.stage}")
                case ShotEnds(index=index, take=take):
                    behind += work[index]
                    spent = sum(take.timings.values())
                    left = time_left(behind, total, time.monotonic() - began)
                    more = f", {in_words(left)} left" if behind < total else ""
                    console.print(
                        f"shot {index + 1} of {len(plan)} done in {spent:.1f} s{more}", markup=False
                    )


def in_words(seconds: float) -> str:
    """75.2 -> "1 min 15 s"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
