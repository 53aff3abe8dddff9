import os

from moc_engine.machine import cores


def test_there_is_a_core_at_least_and_no_more_than_the_machine_has() -> None:
    assert 1 <= cores() <= (os.cpu_count() or 1)
