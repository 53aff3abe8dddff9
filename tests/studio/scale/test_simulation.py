"""The simulation against queueing theory, and against what must hold at any time."""

from __future__ import annotations

import math
from random import Random

import pytest

from studio.scale.farm import Farm
from studio.scale.servers import Database, Storage
from studio.scale.simulation import Simulation
from studio.scale.statements import Statements

NOTHING = Statements(
    ask=0, claim=0, claim_nothing=0, passing=0, begin=0, freeze=0, beat=0, look=0, report=0, commit=0
)
SOME = Statements(
    ask=4, claim=10, claim_nothing=6, passing=3, begin=5, freeze=7, beat=5, look=3, report=6, commit=28
)


def erlang_c_wait(arrivals: float, services: float, servers: int) -> float:
    """The mean wait of an M/M/c queue, by Erlang's formula."""
    load = arrivals / services
    terms = [load**k / math.factorial(k) for k in range(servers)]
    last = load**servers / math.factorial(servers) / (1 - load / servers)
    return last / (sum(terms) + last) / (servers * services - arrivals)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.7), (4, 0.8), (16, 0.9)])
def test_waits_at_the_database_are_those_of_erlangs_formula(servers: int, load: float) -> None:
    random, now = Random(1), 0.0
    database = Database(servers, writes_per_second=1e12)
    for _ in range(200_000):
        now += random.expovariate(load * servers)
        database.done(now, random.expovariate(1.0), write=True)
    found = database.waited / database.transactions
    assert found == pytest.approx(erlang_c_wait(load * servers, 1.0, servers), rel=0.08)
    assert database.used(now)[0] == pytest.approx(load, rel=0.02)


def test_waits_for_a_fixed_time_are_those_of_pollaczek_and_khinchine() -> None:
    """M/D/1: writes that begin one after the other."""
    random, now = Random(2), 0.0
    database = Database(1000, writes_per_second=10.0)
    for _ in range(100_000):
        now += random.expovariate(7.0)
        database.done(now, 0.0, write=True)
    assert database.waited / database.transactions == pytest.approx(0.7 / (2 * 10.0 * (1 - 0.7)), rel=0.05)


def repairman(workers: int, films: int, looking: float, rendering: float) -> tuple[float, float]:
    """Shots a second and the mean wait of the queue M/M/c//N: films that ask, workers that render."""
    weights = [1.0]
    for there in range(1, films + 1):
        serving = min(there, workers) / rendering
        weights.append(weights[-1] * (films - there + 1) / looking / serving)
    total = sum(weights)
    rate = sum(w * min(n, workers) / rendering for n, w in enumerate(weights)) / total
    waiting = sum(w * max(0, n - workers) for n, w in enumerate(weights)) / total
    return rate, waiting / rate


@pytest.mark.parametrize(("workers", "films"), [(1, 5), (4, 30), (8, 40)])
def test_throughput_and_delay_are_those_of_the_machine_repair_problem(workers: int, films: int) -> None:
    farm = Farm(
        workers=workers,
        films=films,
        shots=1,
        spread=None,
        shot_seconds=2.0,
        looking_seconds=10.0,
        statement_seconds=0.0,
        storage_seconds=0.0,
        storage_failures=0.0,
        writes_per_second=1e9,
        deaths_per_hour=0.0,
        poll_seconds=1.0,
        notified=True,
    )
    found = Simulation(farm, NOTHING, seed=3).measured(100.0, 40_000.0 / workers)
    rate, wait = repairman(workers, films, 10.0, 2.0)
    assert found.shots_per_second == pytest.approx(rate, rel=0.04)
    assert found.mean_delay == pytest.approx(wait, rel=0.12)
    assert found.rendering == pytest.approx(rate * 2.0 / workers, rel=0.05)


@pytest.mark.parametrize("statement_seconds", [0.001, 0.02])
@pytest.mark.parametrize("notified", [False, True])
def test_no_shot_is_lost_or_counted_twice(statement_seconds: float, notified: bool) -> None:
    """With workers that die often, storage that fails often, and a database that cannot follow."""
    farm = Farm(
        workers=20,
        films=60,
        shots=3,
        looking_seconds=200.0,
        statement_seconds=statement_seconds,
        connections=2,
        deaths_per_hour=30.0,
        restart_seconds=10.0,
        storage_failures=0.3,
        notified=notified,
    )
    simulation = Simulation(farm, SOME, seed=4)
    for until in range(100, 2_000, 100):
        simulation.run(float(until))
        now = simulation.counts()
        assert now.waiting + now.running + now.stored + now.parked + now.unasked == 60 * 3
        assert now.claims == now.takes + now.lost + now.failed + now.running
        assert now.waiting == simulation.waiting
        assert 0 <= now.running <= 60
    assert min(now.takes, now.lost, now.failed) > 0


def test_a_job_of_a_dead_worker_waits_for_its_lease_and_is_rendered_by_another() -> None:
    farm = Farm(workers=2, films=1, shots=1, deaths_per_hour=60.0, looking_seconds=60.0, shot_seconds=30.0)
    simulation = Simulation(farm, SOME, seed=5)
    found = simulation.measured(0.0, 20_000.0)
    assert found.lost > 0
    assert simulation.counts().takes > 0
    assert found.first_out == "films"


def test_a_database_that_cannot_follow_is_told_from_workers_that_cannot() -> None:
    slow = Farm(workers=200, films=2000, statement_seconds=0.02, connections=10)
    measured = Simulation(slow, SOME).measured(120.0, 240.0)
    assert measured.first_out == "database connections"
    assert measured.shots_per_second < 0.8 * slow.bound
    fast = Farm(workers=20, films=200)
    assert Simulation(fast, SOME).measured(120.0, 240.0).first_out == "workers"


def test_the_same_seed_gives_the_same_day() -> None:
    farm = Farm(workers=5, films=20, deaths_per_hour=5.0)
    first, second, other = (Simulation(farm, SOME, seed=seed).measured(60.0, 600.0) for seed in (1, 1, 2))
    assert first == second != other


def test_storage_fails_as_often_as_it_is_told_and_tries_again() -> None:
    storage = Storage(0.1, 0.01, Random(6))
    done = [storage.done(0.0, 1) for _ in range(50_000)]
    assert None not in done
    assert storage.retries / storage.requests == pytest.approx(0.01, rel=0.15)
    mean = sum(time for time in done if time is not None) / len(done)
    assert mean == pytest.approx(0.1 + 0.01 * (0.1 + 0.5), rel=0.05)
    assert Storage(0.1, 0.999999, Random(7)).done(0.0, 1) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": 0},
        {"films": -1},
        {"shot_seconds": 0.0},
        {"storage_failures": 1.0},
        {"deaths_per_hour": -1.0},
    ],
)
def test_a_farm_without_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Farm(**{"workers": 1, "films": 1, **wrong})  # type: ignore[arg-type]
