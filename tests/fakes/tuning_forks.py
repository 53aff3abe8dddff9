"""`python -m tests.fakes.tuning_forks`: forks the processes of runs, so that their modules are imported once.

Reads lines of JSON, `[name, folder]`, and answers each with the list of what ended the processes.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final


class TuningForks:
    """The other end: a process that was started with this module."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def codes(self, name: str, folder: Path) -> list[int]:
        """The exit codes of the processes of `RUNS[name]` in a folder, -N where signal N ended one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([name, str(folder)]) + "\n")
        self._process.stdin.flush()
        found: list[int] = json.loads(self._process.stdout.readline())
        return found


@contextmanager
def tuning_forks() -> Iterator[TuningForks]:
    """Starts the process, and ends it."""
    command = [sys.executable, "-m", "tests.fakes.tuning_forks"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipe: Final = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as process:
        yield TuningForks(process)
        assert process.stdin is not None
        process.stdin.close()


def main() -> None:
    from tests.fakes.killed_tuning import killed_and_unbroken
    from tests.fakes.tuning_ranks import one_and_two

    runs = {"killed": killed_and_unbroken, "ranks": one_and_two}
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what runs print is no answer
    gc.collect()
    gc.freeze()  # else each run looks through all modules for what can be freed
    for line in sys.stdin:
        name, folder = json.loads(line)
        print(json.dumps(runs[name](Path(folder))), file=answers, flush=True)


if __name__ == "__main__":
    main()
