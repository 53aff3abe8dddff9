"""Runs the processes of a training run, and tells how they ended."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec

from studio.domain.errors import Interrupted, StudioError, WrongUse


def add_processes(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "--processes",
        type=int,
        metavar="N",
        help="train in N processes of one thread each, one per GPU if there are any; each adds its own "
        f"stories to the batch (default: {default})",
    )


def check_processes(processes: int | None) -> None:
    """Raises `WrongUse` for a number of processes without sense."""
    if processes is not None and processes < 1:
        raise WrongUse(f"--processes: must be 1 or more, got {processes}")


def check_packages(needed: Mapping[str, str]) -> None:
    """Raises `StudioError` for the first package that is missing; `needed` says how each is installed."""
    for package, install in needed.items():
        if find_spec(package) is None:
            raise StudioError(f"training needs {package}: {sys.executable} -m pip install {install}")


def run_processes(
    module: str, arguments: Sequence[str], processes: int, *, again: str = "continue with --resume"
) -> int:
    """The exit code of a run in so many processes; `again` says how it goes on after a kill.

    Raises `Interrupted`, and `StudioError` after a kill.
    """
    from moc_engine.training.launch import launch

    code = launch(module, arguments, processes)
    if code == Interrupted.exit_code:
        raise Interrupted("interrupted")
    if code < 0:
        raise StudioError(f"a training process was ended by signal {-code}; {again}")
    return code
