"""The table of `moc-studio eval scale`: one simulated farm a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from studio.scale.farm import Farm
from studio.scale.measured import Measured
from studio.scale.simulation import Simulation
from studio.scale.statements import Statements

LOOKS: Final = 150_000
"""Seconds of workers that are simulated at most: in each of them a worker asks the database several times."""

HEADINGS: Final = (
    "workers",
    "films",
    "statement",
    "shots an hour",
    "of the bound",
    "delay p50",
    "p95",
    "database used",
    "files a second",
    "gives out first",
)


def measure(
    farms: Iterable[Farm],
    statements: Statements,
    shots: int,
    notify: Callable[[Measured], None] = lambda _: None,
) -> list[Measured]:
    """Simulates one farm after the other, for so many shots of each where that does not take too long.

    `notify` is called with each.
    """
    found = []
    for farm in farms:
        least = 3 * farm.shot_seconds
        seconds = max(least, min(shots / farm.bound, LOOKS / farm.workers))
        found.append(Simulation(farm, statements).measured(seconds / 2, seconds))
        notify(found[-1])
    return found


def row(measured: Measured) -> tuple[str, ...]:
    """A farm in words, under `HEADINGS`."""
    farm = measured.farm
    return (
        f"{farm.workers:,}",
        f"{farm.films:,}",
        f"{farm.statement_seconds * 1e3:g} ms",
        f"{measured.shots_per_second * 3600:,.0f}",
        f"{100 * measured.shots_per_second / farm.bound:.0f} %",
        f"{measured.delay(0.5):.1f} s",
        f"{measured.delay(0.95):.1f} s",
        f"{100 * max(measured.connections, measured.writes):.0f} %",
        f"{measured.requests_per_second:.1f}",
        measured.first_out,
    )


def lines(rows: Sequence[Sequence[str]]) -> list[str]:
    """A table in Markdown, its columns as wide as they must be."""
    table = [HEADINGS, *rows]
    widths = [max(len(line[nth]) for line in table) for nth in range(len(HEADINGS))]
    told = [
        "| " + " | ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) + " |"
        for line in table
    ]
    return [told[0], "|" + "|".join("-" * (width + 1) + ":" for width in widths) + "|", *told[1:]]
