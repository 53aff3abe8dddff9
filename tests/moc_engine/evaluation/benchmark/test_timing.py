import torch

from moc_engine.evaluation.benchmark.timing import extra_mebibytes, side_by_side

CPU = torch.device("cpu")


def test_work_is_timed_in_turns() -> None:
    order: list[str] = []
    times = side_by_side(
        {"a": lambda: order.append("a"), "b": lambda: order.append("b")}, CPU, seconds=60.0, rounds=3
    )
    assert order[:2] == ["a", "b"]
    assert [set(order[nth : nth + 2]) for nth in (2, 4, 6)] == [{"a", "b"}] * 3
    assert len({tuple(order[nth : nth + 2]) for nth in (2, 4, 6)}) == 2  # in both orders
    assert [len(found) for found in times.values()] == [3, 3]


def test_enough_rounds_are_measured_when_the_time_is_up() -> None:
    times = side_by_side({"a": lambda: None}, CPU, seconds=0.0, rounds=9)
    assert len(times["a"]) == 3
    assert side_by_side({}, CPU, seconds=0.0) == {}


def test_memory_that_was_given_back_counts_at_its_peak() -> None:
    def work() -> torch.Tensor:
        large = torch.ones(1 << 20)  # 4 MiB
        return large[:10].clone()

    assert 4.0 <= extra_mebibytes(work, CPU) < 4.1
