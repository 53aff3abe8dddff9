"""The words for a disk that is full or broken, whoever tells of it."""

from __future__ import annotations

import errno
import os

import pytest

from moc_engine.disk_errors import disk_cause, is_disk_full


@pytest.mark.parametrize(
    ("error", "cause", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full", True),
        (
            RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)"),
            "the disk is full",
            True,
        ),
        (PermissionError(errno.EACCES, "Permission denied", "/a/b"), "permission denied", False),
        (RuntimeError("I/O error: (os error 5)"), os.strerror(5).lower(), False),
        (RuntimeError("the header is damaged"), "the header is damaged", False),
    ],
)
def test_the_cause_is_told_in_plain_words(error: Exception, cause: str, full: bool) -> None:
    assert (disk_cause(error), is_disk_full(error)) == (cause, full)
