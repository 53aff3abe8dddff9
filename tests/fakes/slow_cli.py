"""The command line with a fake renderer that takes its time, for tests that interrupt it.

Each denoising step waits SLOW_STEP seconds and is told on stderr.
"""

from __future__ import annotations

import os
import sys
import time

from studio.cli.main import main
from tests.fakes.renderer import FakeRenderer


def wait(shot: int, step: int) -> None:
    print(f"step {shot + 1}.{step + 1}", file=sys.stderr, flush=True)
    time.sleep(float(os.environ["SLOW_STEP"]))


if __name__ == "__main__":
    sys.exit(main(make_renderer=lambda model: FakeRenderer(wait)))
