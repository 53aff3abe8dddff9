"""What a render tells on stderr while it runs."""

from __future__ import annotations

from fractions import Fraction
from io import StringIO
from pathlib import Path

from rich.console import Console

from moc_engine.contract import RenderEvent, RenderRequest, StageEvent, StepEvent
from studio.cli.progress import RenderProgress, ReportingRenderer, in_words
from studio.domain.inputs import TakeInputs
from studio.jobs.estimate import Rates
from studio.service.rendering import PlannedShot
from tests.fakes.clock import FakeClock
from tests.fakes.renderer import FakeRenderer


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


def planned(index: int) -> PlannedShot:
    """A shot of 2 seconds, whose denoising is 2 seconds of work at a rate of 1."""
    inputs = TakeInputs(
        model="m",
        caption="",
        global_caption="",
        cast=(),
        seconds=2.0,
        fps=Fraction(10),
        size=(100, 100),
        seed=1,
    )
    return PlannedShot(
        shot="a",
        index=index,
        action="render",
        state="missing",
        locked=False,
        reasons=(),
        seconds=2.0,
        take=None,
        inputs=inputs,
        context=(),
    )


def test_the_bar_does_not_go_back_where_a_second_expert_reads_the_context() -> None:
    progress = RenderProgress([planned(0)], Rates(denoise=1.0, draw=1.0), console=Console(file=StringIO()))
    half = StepEvent(stage="denoise", step=1, steps=2, seconds_left=None)
    events: list[RenderEvent | None] = [None, half, StageEvent(stage="memory"), StageEvent(stage="denoise")]
    seen = []
    for event in events:
        progress.report(0, event)
        seen.append(progress.shown)
    assert seen == [0.0, 1.0, 1.0, 1.0]


def test_the_time_left_goes_by_the_time_without_loading() -> None:
    clock, out = FakeClock(), StringIO()
    shots = [planned(0), planned(1)]
    rates = Rates(denoise=1.0, draw=0.0)
    progress = RenderProgress(shots, rates, console=Console(file=out), clock=clock)
    times: list[tuple[float, RenderEvent | None]] = [
        (100, None),
        (101, StageEvent(stage="load")),
        (190, StepEvent(stage="load", step=1, steps=2, seconds_left=None)),
        (300, StageEvent(stage="denoise")),
        (301, StepEvent(stage="denoise", step=1, steps=1, seconds_left=None)),
    ]
    for clock.now, event in times:
        progress.report(0, event)
    progress.finished(0, spent=301.0)
    assert out.getvalue() == "shot 1 of 2 done in 301.0 s, 2 s left\n"


def test_times_are_told_in_minutes_and_seconds() -> None:
    assert in_words(75.2) == "1 min 15 s"
    assert in_words(4.0) == "4 s"


def test_what_a_renderer_reports_is_passed_on_and_no_previews_are_made(tmp_path: Path) -> None:
    told: list[tuple[int, RenderEvent | None]] = []
    inner = FakeRenderer()
    renderer = ReportingRenderer(inner, lambda shot, event: told.append((shot, event)))
    request = RenderRequest(
        shot=2,
        caption="Mira waves",
        global_caption="",
        cast=("Mira",),
        seconds=0.5,
        fps=4.0,
        size=(96, 54),
        seed=0,
        output=tmp_path,
    )
    events = list(renderer.render(request))
    assert told == [(2, None), *((2, event) for event in events)]
    assert [asked.previews for asked in inner.requests] == [0]
