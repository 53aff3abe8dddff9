"""`python -m moc_engine.training`: one process of a run; `moc-studio train animatic` starts the right number.

Exit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import argparse
import signal
import sys
import warnings

from moc_engine.errors import EngineError
from moc_engine.training.loop import train
from moc_engine.training.options import add_options, read_options


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m moc_engine.training", description="Trains the embedded model in this process."
    )
    add_options(parser)
    try:
        options = read_options(parser.parse_args())
    except ValueError as error:
        return _failed(f"--{error}", 2)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # and end the loaders too
    warnings.filterwarnings("ignore", "Mismatch dtype between input and weight")  # so it is with autocast
    try:
        train(options)
    except EngineError as error:
        return _failed(error, 1)
    except OSError as error:
        return _failed(f"{error.filename or options.out}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        return 130
    return 0


def _failed(message: object, code: int) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
