"""Why a file could not be written, whether Python or a library says so. No torch."""

from __future__ import annotations

import errno
import os
import re
import sys
from typing import Final

FULL: Final = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})  # Windows has no quotas
"""The error numbers of a disk without room."""

_WINDOWS_FULL: Final = frozenset({39, 112})


def is_disk_full(error: BaseException) -> bool:
    """Whether a file found no room."""
    number = _number(error)
    return number in FULL or (sys.platform == "win32" and number in _WINDOWS_FULL)


def disk_cause(error: BaseException) -> str:
    """The cause in plain words, as the end of a sentence."""
    if is_disk_full(error):
        return "the disk is full"
    number = _number(error)
    return str(error) if number is None else os.strerror(number).lower()


def _number(error: BaseException) -> int | None:
    """The system's error number; libraries in Rust, such as safetensors, tell it in their words alone."""
    if isinstance(error, OSError):
        return error.errno
    told = re.search(r"\(os error (\d+)\)", str(error))
    return None if told is None else int(told[1])
