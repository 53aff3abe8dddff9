"""The remedy for stories whose third shot always drifts, with a renderer that obeys it or not."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np
import pytest

from moc_engine.contract import CancelToken, RenderEvent, RenderRequest, RenderResult
from moc_engine.evaluation.generation.settings import EvaluationSettings
from moc_engine.evaluation.questions.remedy import measure
from moc_engine.trace.trace_file import read_trace, write_trace
from tests.fakes.renderer import FakeRenderer

STORIES = EvaluationSettings(stories=2, shots=4, cast=2, tokens=2)


class Forgetful(FakeRenderer):
    """Changes the looks of the third shot, except of pinned characters if `listens` is set."""

    def __init__(self, *, listens: bool) -> None:
        super().__init__()
        self.listens = listens

    def render(
        self, request: RenderRequest, cancel: CancelToken | None = None
    ) -> Generator[RenderEvent, None, RenderResult]:
        result = yield from super().render(request, cancel)
        trace = read_trace(result.trace)
        assert trace.looks is not None
        mended = {name for _, name in request.parts.pins} if self.listens else set()
        wrong = np.array([request.shot == 2 and chunk.name not in mended for chunk in trace.query])
        write_trace(replace(trace, looks=trace.looks + wrong[:, None]), result.trace)
        return result


@pytest.mark.parametrize("listens", [True, False])
def test_drifted_shots_are_rendered_again_and_measured(listens: bool) -> None:
    told: list[int] = []
    renderer = Forgetful(listens=listens)
    found = measure(renderer, STORIES, report=told.append)
    assert told == [1, 2]
    assert found.appearances > found.drifted >= 2  # the set of either story at least
    assert found.tried == found.drifted
    assert found.helped == (found.tried if listens else 0)
    again = renderer.requests[-1]
    assert again.parts.pins
    assert all(name == again.parts.pins[0][1] for _, name in again.parts.bans)


def test_a_story_without_drift_needs_no_remedy() -> None:
    found = measure(FakeRenderer(), STORIES)
    assert (found.drifted, found.tried, found.helped) == (0, 0, 0)
    assert found.appearances > 0
