"""What views are shown of the queue."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from studio.domain.messages import message
from studio.domain.project import Project
from studio.jobs.job import Job, Progress
from studio.jobs.order import AnalysisOrder, RenderOrder, UnknownOrder
from studio.service.job_state import job_states
from tests.fakes.inline_studio import BOARD


def job(number: int, state: str, **fields: object) -> Job:
    given = {
        "id": number,
        "project": "p",
        "order": RenderOrder(shot="b", reason="test", seconds=2.0),
        "position": float(number),
        "state": state,
        "attempts": 1,
        "progress": None,
        "picture": 0,
        "problem": None,
        "result": None,
        "created": 0.0,
        "started": None,
        "finished": None,
    }
    return Job(**{**given, **fields})  # type: ignore[arg-type]


PROJECT = Project(board=BOARD)


def test_what_ended_comes_first_then_what_runs_then_what_waits() -> None:
    jobs = [
        job(1, "queued"),
        job(2, "running", position=9.0),
        job(3, "done", finished=8.0),
        job(4, "queued", position=0.5),
        job(5, "failed", finished=7.0),
    ]
    assert [shown.id for shown in job_states(jobs, {"p": PROJECT})] == [2, 4, 1, 3, 5]


def test_only_the_last_that_ended_are_shown() -> None:
    jobs = [job(number, "done", finished=float(number)) for number in range(50)]
    assert [shown.id for shown in job_states(jobs, {"p": PROJECT})] == list(range(49, 29, -1))


def test_a_job_is_shown_with_its_progress_and_place() -> None:
    progress = Progress(stage="denoise", step=2, steps=4, seconds_left=1.5)
    jobs = [job(1, "running", progress=progress, picture=3)]
    (shown,) = job_states(jobs, {"p": PROJECT})
    assert (shown.stage, shown.step, shown.steps, shown.seconds_left) == ("denoise", 2, 4, 1.5)
    assert (shown.title, shown.shot, shown.index, shown.picture) == ("Test", "b", 1, 3)
    gone = replace(jobs[0], order=RenderOrder(shot="gone", reason="test", seconds=2.0), progress=None)
    (shown,) = job_states([gone], {"p": PROJECT})
    assert (shown.index, shown.stage, shown.step, shown.seconds_left) == (None, None, 0, None)


def test_a_job_without_a_project_is_shown_by_its_kind() -> None:
    other = job(
        1, "failed", project=None, order=UnknownOrder(kind="hologram"), problem=message("text", text="no")
    )
    (shown,) = job_states([other], {"p": PROJECT})
    assert (shown.kind, shown.project, shown.title, shown.shot, shown.index, shown.error) == (
        "hologram",
        None,
        "",
        None,
        None,
        "no",
    )


def order(shot: str, **fields: Any) -> RenderOrder:
    return RenderOrder(shot=shot, reason="test", seconds=2.0, **fields)


def superseded(*jobs: Job) -> list[int]:
    """The jobs after which another one did the same."""
    return sorted(shown.id for shown in job_states(jobs, {"p": PROJECT}) if shown.superseded)


def test_the_last_job_of_a_shot_and_lane_counts() -> None:
    failed = job(1, "failed", finished=1.0, order=order("a"))
    assert superseded(failed) == []
    assert superseded(failed, job(2, "done", finished=2.0, order=order("a"))) == [1]
    assert superseded(failed, job(2, "queued", order=order("a"))) == [1]
    assert superseded(failed, job(2, "done", finished=2.0, order=order("b"))) == []
    assert superseded(failed, job(2, "done", finished=2.0, order=order("a", lane="draft"))) == []
    again = job(1, "done", finished=3.0, order=order("a"))  # tried again after the other failed
    assert superseded(again, job(2, "failed", finished=2.0, order=order("a"))) == [2]


def test_a_job_of_a_shot_that_is_gone_counts_no_longer() -> None:
    assert superseded(job(1, "failed", finished=1.0, order=order("gone"))) == [1]


def test_jobs_about_a_model_count_by_model() -> None:
    failed = job(1, "failed", project=None, finished=1.0, order=AnalysisOrder(model="one"))
    other = job(2, "done", project=None, finished=2.0, order=AnalysisOrder(model="another"))
    assert superseded(failed, other) == []
    assert superseded(failed, other, job(3, "running", project=None, order=AnalysisOrder(model="one"))) == [1]


def test_a_job_that_began_names_the_model_that_it_rendered_with() -> None:
    began = RenderOrder(shot="b", reason="test", seconds=2.0, model="my-wan")
    for state, model in (
        ("running", "my-wan"),
        ("done", "my-wan"),
        ("failed", "my-wan"),
        ("queued", "animatic"),
    ):
        (shown,) = job_states([job(1, state, order=began)], {"p": PROJECT})
        assert shown.model == model
