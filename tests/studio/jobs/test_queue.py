"""The queue under a fake clock: claims, leases, fences, and what people do to jobs."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from studio.domain.errors import LostClaim, NotThere, Refused
from studio.domain.messages import message
from studio.jobs import claims, queue
from studio.jobs.job import ATTEMPTS, LEASE, LOADING_LEASES, Claim, Job, Progress
from studio.jobs.order import RenderOrder, UnknownOrder
from studio.store import projects
from studio.store.database import Database
from studio.store.tables import JobRow
from tests.fakes.clock import FakeClock
from tests.fakes.doomed import PROCESSES, claim_all
from tests.fakes.projects import project

NO = message("text", text="no such model")
JOBS = int(os.environ.get("SOAK_JOBS", "100"))


def order(shot: str, seed: int | None = None, *, keep_context: bool = True) -> RenderOrder:
    """Of a take that waits for no other, unless told otherwise."""
    return RenderOrder(shot=shot, reason="test", seconds=1.0, seed=seed, keep_context=keep_context)


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    clock = FakeClock()
    timed = Database(database.url, clock)
    with timed.write() as session:
        session.info["clock"] = clock
        yield session
    timed.close()


def at(session: Session, now: float) -> Session:
    """The session, with its database's clock at `now`."""
    session.info["clock"].now = now
    return session


@pytest.fixture
def name(session: Session) -> str:
    return projects.create(session, project("Mira waves"), now=0.0)


@pytest.fixture
def jobs(session: Session, name: str) -> list[int]:
    """Jobs of shots a, b and c."""
    return queue.enqueue(at(session, 1.0), name, [order("a"), order("b"), order("c")])


def states(session: Session) -> list[tuple[str | None, str]]:
    session.flush()
    return [(job.order.shot, job.state) for job in queue.jobs_of(session)]


def job(session: Session, number: int) -> Job:
    return next(job for job in queue.jobs_of(session) if job.id == number)


def claimed(session: Session, now: float = 10.0, worker: str = "w") -> Claim:
    found = claims.claim(at(session, now), worker)
    assert found is not None
    return found


def shot_of(claim: Claim) -> str:
    assert isinstance(claim.order, RenderOrder)
    return claim.order.shot


def test_jobs_run_in_the_order_they_came(session: Session, name: str, jobs: list[int]) -> None:
    wish = order("d", 7, keep_context=True)
    queue.enqueue(at(session, 2.0), name, [wish])
    assert [shot_of(claimed(session)) for _ in range(3)] == ["a", "b", "c"]
    last = claimed(session)
    assert (last.order, last.project) == (wish, name)
    assert claims.claim(at(session, 3.0), "w") is None


def test_a_job_tells_what_became_of_it(session: Session, name: str) -> None:
    (number,) = queue.enqueue(at(session, 1.0), name, [order("a", 5)])
    waiting = job(session, number)
    assert (waiting.state, waiting.order, waiting.created) == ("queued", order("a", 5), 1.0)
    assert (waiting.attempts, waiting.started, waiting.finished, waiting.picture) == (0, None, None, 0)
    claim = claimed(session, now=2.0)
    progress = Progress(stage="denoise", step=1, steps=4, seconds_left=3.5)
    assert claims.report(at(session, 3.0), claim, progress, b"one")
    assert claims.report(at(session, 3.0), claim, progress, b"two")
    assert claims.report(at(session, 3.0), claim, progress, None)
    running = job(session, number)
    assert (running.state, running.progress, running.picture) == ("running", progress, 2)
    assert (running.attempts, running.started) == (1, 2.0)
    assert queue.preview(session, number) == b"two"
    claims.finish(at(session, 4.0), claim, "take")
    done = job(session, number)
    assert (done.state, done.result, done.finished, done.progress) == ("done", "take", 4.0, None)
    assert queue.preview(session, number) is None


def test_a_wish_that_waits_gets_no_second_job(session: Session, name: str, jobs: list[int]) -> None:
    assert queue.enqueue(at(session, 2.0), name, [order("b")]) == []
    again = queue.enqueue(at(session, 2.0), name, [order("d"), order("b", 5), order("d"), order("b")])
    assert len(again) == 2
    runs = shot_of(claimed(session))
    assert len(queue.enqueue(at(session, 3.0), name, [order(runs)])) == 1
    assert [shot for shot, _ in states(session)] == ["a", "b", "c", "d", "b", runs]


def test_of_one_project_a_shot_waits_for_what_it_may_remember(session: Session) -> None:
    film = project("Mira waves", "Otto runs", "both dance").choosing("c", "take")
    name = projects.create(session, film, now=0.0)
    first, second = queue.enqueue(at(session, 1.0), name, [order(s, keep_context=False) for s in "ab"])
    other = projects.create(session, project("Otto runs"), now=0.0)
    (elsewhere,) = queue.enqueue(at(session, 2.0), other, [order("a", keep_context=False)])
    (rolled,) = queue.enqueue(at(session, 3.0), name, [order("c", 5)])
    running = claimed(session)
    assert [running.job, claimed(session).job, claimed(session).job] == [first, elsewhere, rolled]
    assert claims.claim(at(session, 10.0), "w") is None
    claims.finish(at(session, 11.0), running, "t")
    assert claimed(session, 12.0).job == second


def test_other_projects_wishes_are_their_own(session: Session, name: str, jobs: list[int]) -> None:
    other = projects.create(session, project("Otto runs"), now=0.0)
    assert len(queue.enqueue(at(session, 2.0), other, [order("a")])) == 1
    assert [job.project for job in queue.jobs_of(session, other)] == [other]
    assert len(queue.jobs_of(session, name)) == 3


def test_each_job_is_claimed_once(database: Database, database_url: str | None, tmp_path: Path) -> None:
    with database.write() as session:
        name = projects.create(session, project("Mira waves"), now=0.0)
        wanted = queue.enqueue(session, name, [order("a", seed) for seed in range(JOBS)])
    pipes, workers = [], []
    for number in range(8):
        ours, theirs = PROCESSES.Pipe(duplex=False)
        worker = PROCESSES.Process(target=claim_all, args=(tmp_path, database_url, f"w{number}", theirs))
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
        assert claims.worker_died(at(session, 101.0), "slow") == [jobs[0]]
        again = claimed(session, now=101.0, worker="quick")
    assert again.job == late.job == jobs[0]
    said = Progress(stage="denoise")
    for call in (
        lambda: claims.heartbeat(at(session, 200.0), late),
        lambda: claims.report(at(session, 200.0), late, said, b"x"),
        lambda: claims.finish(at(session, 200.0), late, "t"),
        lambda: claims.fail(at(session, 200.0), late, NO),
        lambda: claims.give_up(at(session, 200.0), late),
        lambda: claims.hand_back(at(session, 200.0), late),
    ):
        with pytest.raises(LostClaim):
            call()
    claims.finish(at(session, 102.0), again, "take")
    assert (job(session, jobs[0]).result, job(session, jobs[0]).attempts) == ("take", 2)


def test_the_same_worker_cannot_end_a_job_by_an_older_claim(session: Session, jobs: list[int]) -> None:
    late = claimed(session)
    claims.worker_died(at(session, 11.0), "w")
    claimed(session)
    with pytest.raises(LostClaim):
        claims.finish(at(session, 12.0), late, "t")


def test_signs_of_life_keep_a_job(session: Session, jobs: list[int]) -> None:
    claim = claimed(session, now=0.0)
    for now in range(20, 200, 20):
        if now % 40:
            assert claims.heartbeat(at(session, float(now)), claim)
        else:
            assert claims.report(at(session, float(now)), claim, Progress(stage="denoise"), None)
        assert claims.reclaim(at(session, float(now + 25))) == []
    assert claims.reclaim(at(session, 180.0 + LEASE + 0.1)) == [jobs[0]]


def test_a_job_that_kills_its_workers_is_set_aside_and_the_queue_goes_on(
    session: Session, jobs: list[int]
) -> None:
    for worker in ("w1", "w2"):
        claim = claimed(session, worker=worker)
        assert claim.job == jobs[0]
        claims.report(at(session, 10.5), claim, Progress(stage="denoise"), b"picture")
        claims.worker_died(at(session, 11.0), worker)
        assert job(session, jobs[0]).progress is None
        assert queue.preview(session, jobs[0]) is None
    assert states(session) == [("a", "parked"), ("b", "queued"), ("c", "queued")]
    parked = job(session, jobs[0])
    assert (parked.error, parked.attempts, parked.finished) == (str(claims.LOST), 2, 11.0)
    assert claimed(session).job == jobs[1]


def test_a_parked_job_has_all_its_tries_again(session: Session, jobs: list[int]) -> None:
    for _ in range(2):
        claimed(session)
        claims.worker_died(at(session, 11.0), "w")
    queue.retry(session, jobs[0])
    assert states(session) == [("b", "queued"), ("c", "queued"), ("a", "queued")]
    again = job(session, jobs[0])
    assert (again.attempts, again.error, again.finished) == (0, None, None)


def test_a_job_handed_back_was_not_tried(session: Session, jobs: list[int]) -> None:
    for _ in range(5):
        claim = claimed(session)
        assert claim.job == jobs[0]
        claims.report(at(session, 10.0), claim, Progress(stage="denoise"), b"picture")
        claims.hand_back(at(session, 10.0), claim)
    waiting = job(session, jobs[0])
    assert (waiting.state, waiting.attempts, waiting.progress, waiting.picture) == ("queued", 0, None, 0)


def test_a_waiting_job_is_cancelled_at_once(session: Session, jobs: list[int]) -> None:
    queue.cancel(at(session, 5.0), jobs[1])
    assert states(session) == [("a", "queued"), ("b", "cancelled"), ("c", "queued")]
    assert job(session, jobs[1]).finished == 5.0
    assert [claimed(session).job for _ in range(2)] == [jobs[0], jobs[2]]


def test_a_running_job_is_told_to_end(session: Session, jobs: list[int]) -> None:
    claim = claimed(session)
    queue.cancel(at(session, 11.0), claim.job)
    assert job(session, claim.job).state == "running"
    assert not claims.heartbeat(at(session, 12.0), claim)
    assert not claims.report(at(session, 12.0), claim, Progress(stage="denoise"), None)
    claims.give_up(at(session, 13.0), claim)
    assert (job(session, claim.job).state, job(session, claim.job).finished) == ("cancelled", 13.0)
    queue.retry(session, claim.job)
    queue.move(session, claim.job, jobs[1])
    again = claimed(session)
    assert again.job == claim.job
    assert claims.heartbeat(at(session, 14.0), again)


@pytest.mark.parametrize("end", ["died", "silent", "handed back"])
def test_a_cancelled_job_does_not_wait_again_with_its_worker_gone(
    session: Session, jobs: list[int], end: str
) -> None:
    claim = claimed(session, now=10.0)
    queue.cancel(at(session, 11.0), claim.job)
    match end:
        case "died":
            claims.worker_died(at(session, 12.0), "w")
        case "silent":
            claims.reclaim(at(session, 100.0))
        case _:
            claims.hand_back(at(session, 12.0), claim)
    assert job(session, claim.job).state == "cancelled"
    assert job(session, claim.job).finished is not None


def test_what_ended_stays_ended(session: Session, jobs: list[int]) -> None:
    claim = claimed(session)
    claims.finish(at(session, 11.0), claim, "take")
    queue.cancel(at(session, 12.0), claim.job)
    assert job(session, claim.job).state == "done"
    with pytest.raises(Refused, match="only jobs that failed"):
        queue.retry(session, claim.job)
    with pytest.raises(LostClaim):
        claims.fail(at(session, 13.0), claim, NO)


def test_a_failed_job_says_why_and_can_be_tried_again(session: Session, jobs: list[int]) -> None:
    claims.fail(at(session, 11.0), claimed(session), NO)
    assert (job(session, jobs[0]).state, job(session, jobs[0]).error) == ("failed", str(NO))
    queue.retry(session, jobs[0])
    assert states(session) == [("b", "queued"), ("c", "queued"), ("a", "queued")]


@pytest.mark.parametrize("refused", [0, 1])
def test_only_what_waits_is_moved_and_only_what_ended_tried_again(
    session: Session, jobs: list[int], refused: int
) -> None:
    claim = claimed(session)
    with pytest.raises(Refused):
        queue.retry(session, jobs[refused])
    with pytest.raises(Refused, match="only waiting jobs can be moved"):
        queue.move(session, claim.job, None)


@pytest.mark.parametrize(
    ("moved", "before", "found"),
    [(2, 0, "cab"), (0, None, "bca"), (0, 2, "bac"), (1, 1, "abc"), (0, 1, "abc"), (2, 1, "acb")],
)
def test_waiting_jobs_change_places(
    session: Session, jobs: list[int], moved: int, before: int | None, found: str
) -> None:
    queue.move(session, jobs[moved], None if before is None else jobs[before])
    assert "".join(str(shot) for shot, _ in states(session)) == found
    assert "".join(shot_of(claimed(session)) for _ in range(3)) == found


def test_moving_passes_over_what_runs(session: Session, jobs: list[int]) -> None:
    claim = claimed(session)
    queue.move(session, jobs[2], claim.job)  # waits no more: the moved one goes last
    assert [shot_of(claimed(session)) for _ in range(2)] == ["b", "c"]


def test_a_job_that_is_gone_is_said(session: Session) -> None:
    for call in (
        lambda: queue.cancel(at(session, 1.0), 7),
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
    assert claims.claim(at(session, 11.0), "w") is None
    claims.finish(at(session, 12.0), claim, "take")
    queue.set_paused(session, False)
    assert claimed(session).job == jobs[1]


def test_what_ended_is_cleared_and_its_numbers_are_not_given_again(
    session: Session, name: str, jobs: list[int]
) -> None:
    other = projects.create(session, project("Otto runs"), now=0.0)
    (others,) = queue.enqueue(at(session, 1.0), other, [order("a")])
    late = claimed(session)
    for number in (*jobs, others):
        queue.cancel(at(session, 2.0), number)
    queue.clear(session, other)
    assert [job.id for job in queue.jobs_of(session)] == jobs
    claims.give_up(at(session, 3.0), late)
    queue.clear(session)
    assert queue.jobs_of(session) == []
    (new,) = queue.enqueue(at(session, 4.0), name, [order("a")])
    assert new > others
    claimed(session)
    with pytest.raises(LostClaim):
        claims.finish(at(session, 5.0), late, "t")


def test_clearing_leaves_what_is_yet_to_end(session: Session, jobs: list[int]) -> None:
    claims.fail(at(session, 2.0), claimed(session), NO)
    claimed(session)
    queue.clear(session)
    assert states(session) == [("b", "running"), ("c", "queued")]


def test_a_job_of_a_project_in_the_bin_neither_starts_nor_is_added(
    session: Session, name: str, jobs: list[int]
) -> None:
    queue.cancel(session, jobs[0])
    projects.set_trashed(session, name, 2.0)
    assert claims.claim(session, "w") is None
    for call in (
        lambda: queue.enqueue(session, name, [order("d")]),
        lambda: queue.retry(session, jobs[0]),
    ):
        with pytest.raises(Refused, match="the project is in the bin"):
            call()
    projects.set_trashed(session, name, None)
    assert claimed(session).job == jobs[1]


def test_a_job_of_another_versions_kind_fails_and_the_queue_goes_on(
    session: Session, name: str, jobs: list[int]
) -> None:
    row = session.get(JobRow, jobs[0])
    assert row is not None
    row.kind, row.project, row.shot = "hologram", None, None
    assert queue.jobs_of(session)[0].order == UnknownOrder(kind="hologram", reason="test", seconds=1.0)
    assert claimed(session, now=7.0).job == jobs[1]
    failed = job(session, jobs[0])
    assert (failed.state, failed.finished, failed.project) == ("failed", 7.0, None)
    assert failed.error is not None
    assert "kind 'hologram'" in failed.error


@pytest.mark.parametrize("payload", [{"seed": "red"}, {"keep_context": [1]}])
def test_a_job_that_cannot_be_read_fails(
    session: Session, jobs: list[int], payload: dict[str, object]
) -> None:
    row = session.get(JobRow, jobs[0])
    assert row is not None
    row.payload = payload
    assert claimed(session).job == jobs[1]
    assert job(session, jobs[0]).state == "failed"


def test_a_job_of_the_version_before_is_read(session: Session, jobs: list[int]) -> None:
    row = session.get(JobRow, jobs[0])
    assert row is not None
    row.payload = {"seed": 4}
    session.flush()
    assert claimed(session).order == RenderOrder(shot="a", reason="test", seconds=1.0, seed=4)


def test_a_worker_that_loads_a_model_may_be_silent_for_longer(session: Session, jobs: list[int]) -> None:
    """Native code that loads weights may hold up the thread of the heartbeats."""
    claim = claimed(session, now=0.0)
    claims.report(at(session, 1.0), claim, Progress(stage="load"))
    claims.heartbeat(at(session, 2.0), claim)
    assert not claims.is_silent(at(session, 1.0 + LOADING_LEASES * LEASE), "w")
    assert claims.is_silent(at(session, 2.1 + LOADING_LEASES * LEASE), "w")
    claims.report(at(session, 200.0), claim, Progress(stage="denoise"))
    assert claims.is_silent(at(session, 200.1 + LEASE), "w")


def test_a_stopped_workers_jobs_wait_as_if_never_tried(session: Session, jobs: list[int]) -> None:
    for _ in range(ATTEMPTS + 1):
        claimed(session)
        assert claims.worker_stopped(session, "w") == [jobs[0]]
    waiting = job(session, jobs[0])
    assert (waiting.state, waiting.attempts, waiting.error) == ("queued", 0, None)
    claimed(session)
    queue.cancel(session, jobs[0])
    claims.worker_stopped(at(session, 12.0), "w")
    assert (job(session, jobs[0]).state, job(session, jobs[0]).finished) == ("cancelled", 12.0)


@pytest.mark.parametrize("code", [None, "code-of-another-version"])
def test_a_problem_that_has_no_words_here_is_shown_as_it_was_left(
    session: Session, jobs: list[int], code: str | None
) -> None:
    """By a version that gave problems no codes, or has other ones."""
    row = session.get(JobRow, jobs[0])
    assert row is not None
    row.state, row.error = "failed", "the disk is full"
    row.problem = None if code is None else {"code": code, "params": {}}
    session.flush()
    failed = job(session, jobs[0])
    assert (failed.problem, failed.error) == (message("text", text="the disk is full"), "the disk is full")


def test_a_problem_is_kept_with_its_parameters(session: Session, jobs: list[int]) -> None:
    inner = message("disk-full", path="/x")
    problem = message("path-failed", path="/models", cause=inner)
    claims.fail(session, claimed(session), problem)
    failed = job(session, jobs[0])
    assert failed.problem == problem
    assert failed.error == f"/models cannot be read or written: {inner}"
