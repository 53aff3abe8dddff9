"""Starts a training run in separate processes of one thread each.

On a shared CPU, threads that wait for each other at every operation cost several times what they gain;
processes synchronise once per step.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

from moc_engine.machine import cores

ENVIRONMENT: Final = {
    "OMP_NUM_THREADS": "1",
    # glibc: keep freed memory for the next step instead of returning it to the system
    "MALLOC_TOP_PAD_": str(512 * 2**20),
    "MALLOC_MMAP_THRESHOLD_": str(4 * 2**30),
    "MALLOC_TRIM_THRESHOLD_": str(16 * 2**30),
}
SECONDS_TO_END: Final = 10.0
_ENDING: Final = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Windows has no SIGHUP
CPU_PROCESSES: Final = 2
"""Processes of the CPU presets, if there are as many cores; each adds its own stories to the batch."""


def usual_processes(preset: str) -> int:
    return min(CPU_PROCESSES, cores()) if preset in ("cpu", "refine", "trial") else 1


def launch(module: str, arguments: Sequence[str], processes: int) -> int:
    """Runs `python -m MODULE ARGUMENTS` in so many processes.

    Returns 0, or the exit code of the first process that failed, -N if signal N ended it. Their output passes
    through. They receive Ctrl-C only from here, and none outlives this call.
    """
    command = [sys.executable, "-m", module, *arguments]
    running: list[subprocess.Popen[bytes]] = []
    with _terminable():
        try:
            for environment in _environments(processes):
                settings = {**os.environ, **environment}
                running.append(subprocess.Popen(command, env=settings, start_new_session=True))
            return _wait(running)
        finally:
            _end(running)


def _environments(processes: int) -> Iterator[dict[str, str]]:
    """The environment of each process: with several, where they meet and which one it is."""
    if processes == 1:
        yield ENVIRONMENT
        return
    rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "WORLD_SIZE": str(processes)}
    for rank in range(processes):
        yield {**ENVIRONMENT, **rendezvous, "RANK": str(rank), "LOCAL_RANK": str(rank)}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(running: Sequence[subprocess.Popen[bytes]]) -> int:
    while True:
        codes = [process.poll() for process in running]
        failed = [code for code in codes if code]
        if failed:
            return failed[0]
        if None not in codes:
            return 0
        time.sleep(0.2)


def _end(running: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in running:
        process.terminate()
    deadline = time.monotonic() + SECONDS_TO_END
    for process in running:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _terminable() -> Iterator[None]:
    """Within the block SIGTERM and SIGHUP raise `SystemExit`, so that child processes are ended first."""

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        sys.exit(128 + number)

    before = {number: signal.signal(number, leave) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
