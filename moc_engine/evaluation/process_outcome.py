"""How a process of training ends: what went wrong in words, and its exit code.

0 done, 1 failed, 2 wrong use, 130 interrupted.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path

from moc_engine.errors import EngineError


def exit_code(work: Callable[[], object], out: Path) -> int:
    """Carries out the work; `out` is named where an error of the disk names no file.

    SIGTERM ends it as an exit does, so that processes and files which were opened are closed.
    """
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        work()
    except EngineError as error:
        return failed(error, 1)
    except OSError as error:
        return failed(f"{error.filename or out}: {error.strerror or error}", 1)
    except KeyboardInterrupt:
        return 130
    return 0


def failed(message: object, code: int) -> int:
    """Prints the message as an error, and gives the code."""
    print(message, file=sys.stderr)
    return code
