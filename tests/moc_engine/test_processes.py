from __future__ import annotations

import subprocess
import sys

import pytest

from moc_engine.processes import is_running, mark
from tests.fakes.waiting import until


def test_this_process_is_running() -> None:
    this = mark()
    assert this.is_running()
    assert is_running(this.pid)


def test_a_later_process_of_the_same_id_is_another_one() -> None:
    this = mark()
    assert not is_running(this.pid, this.started - 60)


def test_a_process_that_ended_is_not_running() -> None:
    with subprocess.Popen(
        [sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        child = mark(process.pid)
        assert child.is_running()
        process.kill()
        assert process.stdout is not None
        process.stdout.read()  # until the process closed it by ending; nobody waited for it yet
        until(lambda: not child.is_running())
        assert process.returncode is None
        process.wait()
    assert not child.is_running()
    with pytest.raises(ProcessLookupError):
        mark(process.pid)


@pytest.mark.parametrize("pid", [-1, 2**40, 2**70])
def test_an_id_that_cannot_be_is_not_running(pid: int) -> None:
    assert not is_running(pid)
