"""What a supervisor tells of its workers, kept in lists."""

from __future__ import annotations


class FakeRecords:
    """Remembers the names of workers that died and of those that stopped; none is ever silent."""

    def __init__(self) -> None:
        self.died: list[str] = []
        self.stopped: list[str] = []

    def worker_died(self, worker: str) -> None:
        self.died.append(worker)

    def worker_stopped(self, worker: str) -> None:
        self.stopped.append(worker)

    def worker_is_silent(self, worker: str) -> bool:
        return False
