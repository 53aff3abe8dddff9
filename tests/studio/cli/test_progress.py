"""What a render tells on stderr while it runs."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from moc_engine.contract import StageEvent, StepEvent
from studio.cli.progress import RenderProgress, in_words
from studio.jobs.estimate import Rates


def told(*, compiles: bool) -> str:
    out = StringIO()
    progress = RenderProgress([], Rates(denoise=1.0, draw=1.0), compiles=compiles, console=Console(file=out))
    with progress:
        for index in range(2):
            progress.report(index, None)
            for stage in ("load", "memory", "denoise"):
                progress.report(index, StageEvent(stage=stage))
                progress.report(index, StepEvent(stage=stage, step=1, steps=1, seconds_left=None))
    return out.getvalue()


def test_that_the_model_is_compiled_is_told_once() -> None:
    assert told(compiles=True) == "compiling the model; the first step may take minutes\n"
    assert told(compiles=False) == ""


def test_times_are_told_in_minutes_and_seconds() -> None:
    assert in_words(75.2) == "1 min 15 s"
    assert in_words(4.0) == "4 s"
