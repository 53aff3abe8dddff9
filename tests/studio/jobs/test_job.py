from typing import get_args

from studio.jobs.job import ATTEMPTS, FINISHED, HEARTBEAT, LEASE, RETRIED, State, after_loss


def test_a_job_is_parked_once_it_took_down_enough_workers() -> None:
    assert [after_loss(attempts) for attempts in range(1, ATTEMPTS + 2)] == ["queued", "parked", "parked"]


def test_what_can_be_tried_again_has_ended() -> None:
    assert RETRIED < FINISHED < set(get_args(State))
    assert "done" not in RETRIED


def test_a_lease_outlives_a_few_lost_beats() -> None:
    assert LEASE >= 4 * HEARTBEAT
