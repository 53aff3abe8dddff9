"""The heading of a run: the machine, what is measured, and about how long it takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from moc_engine.evaluation.benchmark.report import machine_name
from moc_engine.evaluation.benchmark.results import KEPT, TINY_RUN, load


def heading(
    machine: dict[str, Any],
    versions: dict[str, str | None],
    names: Sequence[str],
    *,
    tiny: bool,
    seconds: float,
    kept: Path = KEPT,
) -> list[str]:
    """Lines for a run of the cases `names`."""
    words = {"machine": machine, "versions": versions}
    threads = f"{machine['cores']} cores, {machine['threads']} threads"
    count = "one case" if len(names) == 1 else f"{len(names)} cases"
    time = "takes about a minute" if tiny else expected(machine["kind"], names, kept)
    return [
        *([TINY_RUN] if tiny else []),
        f"{machine_name(words)}: {threads}, torch {versions['torch']}, Python {versions['python']}",
        f"{count}; {time}; no case begins after {seconds:.0f} seconds (--seconds)",
        "Milliseconds and ratios are medians with quartiles in brackets. A ratio is the median of the "
        "rounds' ratios; where quartiles are far apart (UNSTEADY) it need not be that of the times shown.",
    ]


def expected(kind: str, names: Sequence[str], kept: Path = KEPT) -> str:
    """How long the cases `names` took where the kept results of this kind of machine were measured."""
    file = kept / f"{kind}.json"
    if not file.exists():
        return "how long it takes is not known for this kind of machine"
    document = load(file)
    took = [document["cases"][name].get("seconds", 0.0) for name in names if name in document["cases"]]
    minutes = max(1, round(sum(took) / 60))
    return f"takes about {minutes} minute{'s' * (minutes > 1)} ({machine_name(document)})"
