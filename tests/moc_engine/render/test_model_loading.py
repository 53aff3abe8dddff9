"""Loading a model within a render: progress, cancelling, failing."""

from __future__ import annotations

import threading
from collections.abc import Generator
from pathlib import Path

import pytest

from moc_engine.contract import RenderEvent, RenderRequest, StageEvent, StepEvent
from moc_engine.errors import ModelNotFound, OutOfMemory, RenderCancelled
from moc_engine.models.backbone import Backbone
from moc_engine.models.registry import LoadedParts
from moc_engine.render.model_loading import ModelLoading
from moc_engine.render.renderer import ShotRenderer
from tests.fakes.models import tiny_backbone

PARTS = 3


class SlowModel:
    """A model of three parts; its second part is not loaded before `gate` is set."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.gate = threading.Event()
        self.waiting = threading.Event()
        self.error = error
        self.loaded: list[int] = []

    def load(
        self, source: str | Path | None, device: str | None, *, profile: str
    ) -> Generator[LoadedParts, None, Backbone]:
        for part in range(PARTS):
            yield LoadedParts(done=part, parts=PARTS, part=str(part))
            if part == 1:
                self.waiting.set()
                assert self.gate.wait(60)
                if self.error is not None:
                    raise self.error
            self.loaded.append(part)
        return tiny_backbone()


def request(output: Path) -> RenderRequest:
    return RenderRequest(
        previews=0,
        shot=0,
        caption="Mira waves",
        global_caption="",
        cast=("Mira",),
        seconds=0.5,
        fps=4.0,
        size=(64, 36),
        seed=1,
        output=output,
    )


def test_each_part_is_reported(tmp_path: Path) -> None:
    model = SlowModel()
    model.gate.set()
    events: list[RenderEvent] = list(ShotRenderer(load=model.load).render(request(tmp_path / "take")))
    steps = [event for event in events if isinstance(event, StepEvent) and event.stage == "load"]
    assert [(event.step, event.steps) for event in steps] == [(part, PARTS) for part in range(PARTS)]
    assert events[0] == StageEvent(stage="load")
    assert (tmp_path / "take" / "clip.mp4").is_file()


def test_a_part_that_takes_long_does_not_hold_the_caller() -> None:
    model = SlowModel()
    loading = ModelLoading(model.load, None, None, event_every=0.0).events(None)
    assert next(loading).step == 0
    assert model.waiting.wait(60)
    reported = {next(loading).step for _ in range(5)}
    assert reported <= {0, 1}
    assert model.loaded == [0]
    loading.close()
    model.gate.set()


def test_a_cancelled_loading_ends_at_once_and_loads_no_further_part(tmp_path: Path) -> None:
    model = SlowModel()
    cancel = threading.Event()
    renderer = ShotRenderer(load=model.load)
    rendering = renderer.render(request(tmp_path / "take"), cancel)
    for event in rendering:
        if isinstance(event, StepEvent) and model.waiting.wait(60):
            break
    cancel.set()
    with pytest.raises(RenderCancelled):
        next(rendering)
    assert not model.gate.is_set()
    assert not list(tmp_path.iterdir())

    model.gate.set()
    again = list(renderer.render(request(tmp_path / "take"), threading.Event()))
    assert again[-1] == StageEvent(stage="write")
    assert model.loaded == [0, 1, *range(PARTS)]


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (ModelNotFound("no model there"), ModelNotFound, "no model there"),
        (MemoryError(), OutOfMemory, "“load”: choose a smaller model"),
    ],
)
def test_failures_reach_the_caller(
    tmp_path: Path, error: BaseException, expected: type[Exception], words: str
) -> None:
    model = SlowModel(error)
    model.gate.set()
    with pytest.raises(expected, match=words):
        list(ShotRenderer(load=model.load).render(request(tmp_path / "take")))
    model.error = None
    assert list(ShotRenderer(load=model.load).render(request(tmp_path / "take")))
