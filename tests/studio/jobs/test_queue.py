"""The queue under a made-up clock: claims, leases, fences, and what people do to jobs."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from studio.domain.errors import LostClaim, NotThere, Refused
from studio.jobs import queue
from studio.jobs.job import LEASE, Claim, Job, Order, Progress
from studio.store import projects
from studio.store.database import Database
from tests.fakes.doomed import PROCESSES, claim_all
from tests.fakes.projects import project

JOBS = int(os.environ.get("SOAK_JOBS", "100"))


def order(shot: str, seed: int | None = None, *, keep_context: bool = True) -> Order:
    """Of a take that waits for no other, unless told otherwise."""
    return Order(shot=shot, reason="test", seconds=1.0, seed=seed, keep_context=keep_context)


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    with database.write() as session:
        yield session


@pytest.fixture
def name(session: Session) -> str:
    return projects.create(session, project("Mira waves"), now=0.0)


@pytest.fixture
def jobs(session: Session, name: str) -> list[int]:
    """Jobs of shots a, b and c."""
    return queue.enqueue(session, name, [order("a"), order("b"), order("c")], now=1.0)


def states(session: Session) -> list[tuple[str, str]]:
    session.flush()
    return [(job.order.shot, job.state) for job in queue.jobs_of(session)]


def job(session: Session, number: int) -> Job:
    return next(job for job in queue.jobs_of(session) if job.id == number)


def claimed(session: Session, now: float = 10.0, worker: str = "w") -> Claim:
    found = queue.claim(session, worker, now)
    assert found is not None
    return found


def test_jobs_run_in_the_order_they_came(session: Session, name: str, jobs: list[int]) -> None:
    wish = order("d", 7, keep_context=True)
    queue.enqueue(session, name, [wish], now=2.0)
    assert [claimed(session).order.shot for _ in range(3)] == ["a", "b", "c"]
    last = claimed(session)
    assert (last.order, last.project) == (wish, name)
    assert queue.claim(session, "w", now=3.0) is None


def test_a_job_tells_what_became_of_it(session: Session, name: str) -> None:
    (number,) = queue.enqueue(session, name, [order("a", 5)], now=1.0)
    waiting = job(session, number)
    assert (waiting.state, waiting.order, waiting.created) == ("queued", order("a", 5), 1.0)
    assert (waiting.attempts, waiting.started, waiting.finished, waiting.picture) == (0, None, None, 0)
    claim = claimed(session, now=2.0)
    progress = Progress(stage="denoise", step=1, steps=4, seconds_left=3.5)
    assert queue.report(session, claim, progress, b"one", now=3.0)
    assert queue.report(session, claim, progress, b"two", now=3.0)
    assert queue.report(session, claim, progress, None, now=3.0)
    running = job(session, number)
    assert (running.state, running.progress, running.picture) == ("running", progress, 2)
    assert (running.attempts, running.started) == (1, 2.0)
    assert queue.preview(session, number) == b"two"
    queue.finish(session, claim, "take", now=4.0)
    done = job(session, number)
    assert (done.state, done.take, done.finished, done.progress) == ("done", "take", 4.0, None)
    assert queue.preview(session, number) is None


def test_a_wish_that_waits_gets_no_second_job(session: Session, name: str, jobs: list[int]) -> None:
    assert queue.enqueue(session, name, [order("b")], now=2.0) == []
    again = queue.enqueue(session, name, [order("d"), order("b", 5), order("d"), order("b")], now=2.0)
    assert len(again) == 2
    claimed(session)
    assert len(queue.enqueue(session, name, [order("a")], now=3.0)) == 1  # the first runs already
    assert [shot for shot, _ in states(session)] == ["a", "b", "c", "d", "b", "a"]


def test_of_one_project_a_shot_waits_for_what_it_may_remember(session: Session, name: str) -> None:
    first, second = queue.enqueue(session, name, [order(s, keep_context=False) for s in "ab"], now=1.0)
    other = projects.create(session, project("Otto runs"), now=0.0)
    (elsewhere,) = queue.enqueue(session, other, [order("a", keep_context=False)], now=2.0)
    (rolled,) = queue.enqueue(session, name, [order("c", 5)], now=3.0)
    running = claimed(session)
    assert [running.job, claimed(session).job, claimed(session).job] == [first, elsewhere, rolled]
    assert queue.claim(session, "w", now=10.0) is None
    queue.finish(session, running, take="t", now=11.0)
    assert queue.claim(session, "w", now=12.0) is None  # the rolled one may be the take it will remember
    assert job(session, second).state == "queued"


def test_other_projects_wishes_are_their_own(session: Session, name: str, jobs: list[int]) -> None:
    other = projects.create(session, project("Otto runs"), now=0.0)
    assert len(queue.enqueue(session, other, [order("a")], now=2.0)) == 1
    assert [job.project for job in queue.jobs_of(session, other)] == [other]
    assert len(queue.jobs_of(session, name)) == 3


def test_each_job_is_claimed_once(database: Database, tmp_path: Path) -> None:
    with database.write() as session:
        name = projects.create(session, project("Mira waves"), now=0.0)
        wanted = queue.enqueue(session, name, [order("a", seed) for seed in range(JOBS)], now=1.0)
    pipes, workers = [], []
    for number in range(8):
        ours, theirs = PROCESSES.Pipe(duplex=False)
        worker = PROCESSES.Process(target=claim_all, args=(tmp_path, f"w{number}", theirs))
        worker.start()
        theirs.close()
        pipes.append(ours)
        workers.append(worker)
    told: list[int] = []
    for pipe, worker in zip(pipes, workers, strict=True):
        try:
            while True:
                told.append(pipe.recv())
        except EOFError:
            worker.join()
            assert worker.exitcode == 0
        pipe.close()
    assert sorted(told) == wanted
    with database.read() as session:
        assert {(job.state, job.attempts) for job in queue.jobs_of(session)} == {("done", 1)}


@pytest.mark.parametrize("silence", ["frozen", "dead"])
def test_a_lost_workers_job_is_taken_up_and_its_late_result_refused(
    session: Session, jobs: list[int], silence: str
) -> None:
    late = claimed(session, now=100.0, worker="slow")
    if silence == "frozen":
        assert claimed(session, now=100.0 + LEASE, worker="quick").job == jobs[1]
        again = claimed(session, now=100.1 + LEASE, worker="quick")
    else:
        assert queue.worker_died(session, "slow", now=101.0) == [jobs[0]]
        again = claimed(session, now=101.0, worker="quick")
    assert again.job == late.job == jobs[0]
    said = Progress(stage="denoise")
    for call in (
        lambda: queue.beat(session, late, 200.0),
        lambda: queue.report(session, late, said, b"x", 200.0),
        lambda: queue.note_claimed(session, late, {}),
        lambda: queue.finish(session, late, "t", 200.0),
        lambda: queue.fail(session, late, "no", 200.0),
        lambda: queue.give_up(session, late, 200.0),
        lambda: queue.hand_back(session, late, 200.0),
    ):
        with pytest.raises(LostClaim):
            call()
    queue.finish(session, again, "take", 102.0)
    assert (job(session, jobs[0]).take, job(session, jobs[0]).attempts) == ("take", 2)


def test_the_same_worker_cannot_end_a_job_by_an_older_claim(session: Session, jobs: list[int]) -> None:
    late = claimed(session)
    queue.worker_died(session, "w", now=11.0)
    claimed(session)
    with pytest.raises(LostClaim):
        queue.finish(session, late, "t", 12.0)


def test_signs_of_life_keep_a_job(session: Session, jobs: list[int]) -> None:
    claim = claimed(session, now=0.0)
    for now in range(20, 200, 20):
        if now % 40:
            assert queue.beat(session, claim, float(now))
        else:
            assert queue.report(session, claim, Progress(stage="denoise"), None, float(now))
        assert queue.reclaim(session, float(now + 25)) == []
    assert queue.reclaim(session, 180.0 + LEASE + 0.1) == [jobs[0]]


def test_a_job_that_kills_its_workers_is_set_aside_and_the_queue_goes_on(
    session: Session, jobs: list[int]
) -> None:
    for worker in ("w1", "w2"):
        claim = claimed(session, worker=worker)
        assert claim.job == jobs[0]
        queue.report(session, claim, Progress(stage="denoise"), b"picture", 10.5)
        queue.worker_died(session, worker, now=11.0)
        assert job(session, jobs[0]).progress is None
        assert queue.preview(session, jobs[0]) is None
    assert states(session) == [("a", "parked"), ("b", "queued"), ("c", "queued")]
    parked = job(session, jobs[0])
    assert (parked.error, parked.attempts, parked.finished) == (queue.LOST, 2, 11.0)
    assert claimed(session).job == jobs[1]


def test_a_parked_job_has_all_its_tries_again(session: Session, jobs: list[int]) -> None:
    for _ in range(2):
        claimed(session)
        queue.worker_died(session, "w", now=11.0)
    queue.retry(session, jobs[0])
    assert states(session) == [("b", "queued"), ("c", "queued"), ("a", "queued")]
    again = job(session, jobs[0])
    assert (again.attempts, again.error, again.finished) == (0, None, None)


def test_a_job_handed_back_was_not_tried(session: Session, jobs: list[int]) -> None:
    for _ in range(5):
        claim = claimed(session)
        assert claim.job == jobs[0]
        queue.report(session, claim, Progress(stage="denoise"), b"picture", 10.0)
        queue.hand_back(session, claim, now=10.0)
    waiting = job(session, jobs[0])
    assert (waiting.state, waiting.attempts, waiting.progress, waiting.picture) == ("queued", 0, None, 0)


def test_a_waiting_job_is_cancelled_at_once(session: Session, jobs: list[int]) -> None:
    queue.cancel(session, jobs[1], now=5.0)
    assert states(session) == [("a", "queued"), ("b", "cancelled"), ("c", "queued")]
    assert job(session, jobs[1]).finished == 5.0
    assert [claimed(session).job for _ in range(2)] == [jobs[0], jobs[2]]


def test_a_running_job_is_told_to_end(session: Session, jobs: list[int]) -> None:
    claim = claimed(session)
    queue.cancel(session, claim.job, now=11.0)
    assert job(session, claim.job).state == "running"
    assert not queue.beat(session, claim, 12.0)
    assert not queue.report(session, claim, Progress(stage="denoise"), None, 12.0)
    queue.give_up(session, claim, now=13.0)
    assert (job(session, claim.job).state, job(session, claim.job).finished) == ("cancelled", 13.0)
    queue.retry(session, claim.job)
    queue.move(session, claim.job, jobs[1])
    again = claimed(session)
    assert again.job == claim.job
    assert queue.beat(session, again, 14.0)


@pytest.mark.parametrize("end", ["died", "silent", "handed back"])
def test_a_cancelled_job_does_not_wait_again_with_its_worker_gone(
    session: Session, jobs: list[int], end: str
) -> None:
    claim = claimed(session, now=10.0)
    queue.cancel(session, claim.job, now=11.0)
    match end:
        case "died":
            queue.worker_died(session, "w", now=12.0)
        case "silent":
            queue.reclaim(session, now=100.0)
        case _:
            queue.hand_back(session, claim, now=12.0)
    assert job(session, claim.job).state == "cancelled"
    assert job(session, claim.job).finished is not None


def test_what_ended_stays_ended(session: Session, jobs: list[int]) -> None:
    claim = claimed(session)
    queue.finish(session, claim, "take", now=11.0)
    queue.cancel(session, claim.job, now=12.0)
    assert job(session, claim.job).state == "done"
    with pytest.raises(Refused, match="only what failed"):
        queue.retry(session, claim.job)
    with pytest.raises(LostClaim):
        queue.fail(session, claim, "no", now=13.0)


def test_a_failed_job_says_why_and_can_be_tried_again(session: Session, jobs: list[int]) -> None:
    queue.fail(session, claimed(session), "no such model", now=11.0)
    assert (job(session, jobs[0]).state, job(session, jobs[0]).error) == ("failed", "no such model")
    queue.retry(session, jobs[0])
    assert states(session) == [("b", "queued"), ("c", "queued"), ("a", "queued")]


@pytest.mark.parametrize("refused", [0, 1])
def test_only_what_waits_is_moved_and_only_what_ended_tried_again(
    session: Session, jobs: list[int], refused: int
) -> None:
    claim = claimed(session)
    with pytest.raises(Refused):
        queue.retry(session, jobs[refused])
    with pytest.raises(Refused, match="only what waits can be moved"):
        queue.move(session, claim.job, None)


@pytest.mark.parametrize(
    ("moved", "before", "found"),
    [(2, 0, "cab"), (0, None, "bca"), (0, 2, "bac"), (1, 1, "abc"), (0, 1, "abc"), (2, 1, "acb")],
)
def test_waiting_jobs_change_places(
    session: Session, jobs: list[int], moved: int, before: int | None, found: str
) -> None:
    queue.move(session, jobs[moved], None if before is None else jobs[before])
    assert "".join(shot for shot, _ in states(session)) == found
    assert "".join(claimed(session).order.shot for _ in range(3)) == found


def test_moving_passes_over_what_runs(session: Session, jobs: list[int]) -> None:
    claim = claimed(session)
    queue.move(session, jobs[2], claim.job)  # waits no more: the moved one goes last
    assert [claimed(session).order.shot for _ in range(2)] == ["b", "c"]


def test_a_job_that_is_gone_is_said(session: Session) -> None:
    for call in (
        lambda: queue.cancel(session, 7, 1.0),
        lambda: queue.retry(session, 7),
        lambda: queue.move(session, 7, None),
    ):
        with pytest.raises(NotThere, match="that job is not there any more"):
            call()
    assert queue.preview(session, 7) is None


def test_a_paused_queue_hands_out_nothing(session: Session, jobs: list[int]) -> None:
    claim = claimed(session)
    assert not queue.is_paused(session)
    queue.set_paused(session, True)
    assert queue.is_paused(session)
    assert queue.claim(session, "w", now=11.0) is None
    queue.finish(session, claim, "take", now=12.0)
    queue.set_paused(session, False)
    assert claimed(session).job == jobs[1]


def test_what_ended_is_cleared_and_its_numbers_are_not_given_again(
    session: Session, name: str, jobs: list[int]
) -> None:
    other = projects.create(session, project("Otto runs"), now=0.0)
    (others,) = queue.enqueue(session, other, [order("a")], now=1.0)
    late = claimed(session)
    for number in (*jobs, others):
        queue.cancel(session, number, now=2.0)
    queue.clear(session, other)
    assert [job.id for job in queue.jobs_of(session)] == jobs
    queue.give_up(session, late, now=3.0)
    queue.clear(session)
    assert queue.jobs_of(session) == []
    (new,) = queue.enqueue(session, name, [order("a")], now=4.0)
    assert new > others
    claimed(session)
    with pytest.raises(LostClaim):
        queue.finish(session, late, "t", now=5.0)


def test_clearing_leaves_what_is_yet_to_end(session: Session, jobs: list[int]) -> None:
    queue.fail(session, claimed(session), "no", now=2.0)
    claimed(session)
    queue.clear(session)
    assert states(session) == [("b", "running"), ("c", "queued")]
