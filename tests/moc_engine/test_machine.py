import os

from moc_engine.machine import best_device, cores, memory_bytes


def test_there_is_a_core_at_least_and_no_more_than_the_machine_has() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)


def test_a_device_is_chosen_and_its_memory_known() -> None:
    device = best_device()
    assert device in ("cuda", "mps", "cpu")
    assert memory_bytes(device) > 1 << 28
