"""What may befall a render at each of its moments: it is cancelled, or there is no memory left.

A real renderer with a tiny model, in a worker with a real database and real files.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from moc_engine.models.animatic.model import save
from moc_engine.render.renderer import ShotRenderer
from studio.domain.settings import Settings
from studio.domain.storyboard import Shot, Storyboard
from studio.service.job_state import JobState
from studio.service.studio import Service
from studio.store.database import Database
from tests.fakes.inline_studio import Studio
from tests.fakes.models import tiny_animatic
from tests.fakes.renderer import FakeRenderer
from tests.fakes.staged import StagedRenderer
from tests.fakes.waiting import until

STEPS = 3
BOARD = Storyboard(
    title="Test",
    size=(64, 64),
    fps=Fraction(4),
    settings=Settings(steps=STEPS),
    shots=(
        Shot(id="a", caption="Mira waves", seconds=0.5),
        Shot(id="b", caption="Otto runs", seconds=0.5),
    ),
)


@pytest.fixture(scope="module")
def renderer(tmp_path_factory: pytest.TempPathFactory) -> StagedRenderer:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    save(tiny_animatic(), folder)
    return StagedRenderer(ShotRenderer(folder, device="cpu"))


class Story:
    """Two shots with takes, of which the second has looked at the first."""

    def __init__(self, root: Path, database: Database, renderer: StagedRenderer) -> None:
        self._renderer = renderer
        renderer.at = lambda moment: None
        self.studio = Studio(root, database, make_renderer=lambda model: renderer)
        self.project = self.studio.rendered(BOARD)
        self._seeds = iter(range(1, 10**6))

    @property
    def service(self) -> Service:
        return self.studio.service

    def takes(self, shot: int) -> int:
        return len(self.service.projects.state(self.project).shots[shot].takes)

    def moments(self) -> list[str]:
        """Each of a render of the second shot."""
        found: list[str] = []
        self._renderer.at = found.append
        self.ordered("b")
        self.studio.work()
        return found

    def ordered(self, shot: str) -> int:
        (job,) = self.service.rendering.reroll(self.project, shot, seed=next(self._seeds))
        return job

    def befallen(self, moment: str, what: Callable[[int], None]) -> tuple[JobState, JobState]:
        """The job of a render of the second shot, which `what` befalls once, and that of another after it."""
        first, second = self.ordered("b"), self.ordered("a")
        left = [moment]

        def at(now: str) -> None:
            if left == [now]:
                left.clear()
                what(first)

        self._renderer.at = at
        self.studio.work()
        assert not left, f"there was no {moment}"
        befallen, after = self.service.queue.jobs((first, second))
        self.service.queue.clear()
        return befallen, after


@pytest.fixture
def story(tmp_path: Path, database: Database, renderer: StagedRenderer) -> Iterator[Story]:
    yield Story(tmp_path, database, renderer)
    assert list((tmp_path / "scratch").iterdir()) == []


STAGES = ("load", "memory", "denoise", "decode", "write")


def test_a_render_is_cancelled_at_any_moment(story: Story) -> None:
    moments = story.moments()
    assert {moment.split()[0] for moment in moments} == {*STAGES, "made", "keep"}
    assert {f"denoise {step}" for step in range(STEPS)} <= set(moments)
    takes, cancelled = story.takes(1), [0.0]

    def cancel(job: int) -> None:
        story.service.queue.cancel(job)
        cancelled[0] = time.monotonic()

    for moment in moments:
        job, after = story.befallen(moment, cancel)
        assert (moment, job.state, job.error) == (moment, "cancelled", None)
        assert time.monotonic() - cancelled[0] < 60  # with the whole render after it
        assert (moment, after.state) == (moment, "done")
        assert (moment, story.takes(1)) == (moment, takes)


def test_what_waits_is_cancelled_at_once(story: Story) -> None:
    job, takes = story.ordered("b"), story.takes(1)
    story.service.queue.cancel(job)
    assert story.service.queue.jobs((job,))[0].state == "cancelled"
    story.studio.work()
    assert story.takes(1) == takes


def test_a_step_that_lasts_is_the_last_one(tmp_path: Path, database: Database) -> None:
    """It takes longer than the looks at the queue are apart, as with a large model."""
    steps: list[int] = []

    def step(shot: int, number: int) -> None:
        steps.append(number)
        if number == 1:
            studio.service.queue.cancel(job)
            until(lambda: studio.worker.job is not None and studio.worker.job.cancelled)

    studio = Studio(tmp_path, database, FakeRenderer(step))
    (job,) = studio.service.rendering.render(studio.service.projects.create(BOARD), ("a",))
    studio.work()
    assert steps == [0, 1]
    assert studio.service.queue.jobs((job,))[0].state == "cancelled"


def test_a_cancelled_render_does_not_wait_for_the_model(tmp_path: Path, database: Database) -> None:
    """And the next one finds it loaded, or waits for it."""
    loaded = threading.Event()
    made: list[str | None] = []

    def load(model: str | None) -> FakeRenderer:
        made.append(model)
        assert loaded.wait(300)
        return FakeRenderer()

    studio = Studio(tmp_path, database, make_renderer=load)
    first, second = (
        studio.service.rendering.render(studio.service.projects.create(BOARD), ("a",))[0] for _ in range(2)
    )
    working = threading.Thread(target=studio.work)
    working.start()
    try:
        until(lambda: studio.service.queue.jobs((first,))[0].stage == "load")
        studio.service.queue.cancel(first)
        until(lambda: studio.service.queue.jobs((first,))[0].state == "cancelled")
        assert not loaded.is_set()
    finally:
        loaded.set()
        working.join()
    assert studio.service.queue.jobs((second,))[0].state == "done"
    assert made == [None]


@pytest.mark.parametrize("error", [MemoryError, torch.OutOfMemoryError])
def test_a_render_runs_out_of_memory_at_any_moment(story: Story, error: type[Exception]) -> None:
    moments = story.moments()
    if error is torch.OutOfMemoryError:  # what comes after the renderer is no matter of a device
        moments = [moment for moment in moments if moment.split()[0] in STAGES]
    takes = story.takes(1)

    def run_out(_: int) -> None:
        raise error("tried to allocate 2.00 GiB")

    for moment in moments:
        job, after = story.befallen(moment, run_out)
        assert job.state == "failed"
        assert job.error is not None
        assert re.search(r"out of memory.*: .*(choose a smaller|shorten)", job.error), (moment, job.error)
        assert (moment, after.state) == (moment, "done")
        assert story.takes(1) == takes


def test_a_model_that_does_not_fit_is_told_and_tried_again(tmp_path: Path, database: Database) -> None:
    fits = [False, True]

    def load(model: str | None) -> FakeRenderer:
        if not fits.pop(0):
            raise MemoryError
        return FakeRenderer()

    studio = Studio(tmp_path, database, make_renderer=load)
    first, second = (
        studio.service.rendering.render(studio.service.projects.create(BOARD), ("a",))[0] for _ in range(2)
    )
    studio.work()
    failed, done = studio.service.queue.jobs((first, second))
    assert (failed.state, done.state) == ("failed", "done")
    assert failed.error is not None
    assert "choose a smaller size" in failed.error
