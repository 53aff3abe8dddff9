"""Failures of the file system become one sentence that names what is wrong, and nothing else does."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

import pytest

from studio.domain.errors import OutputFailed
from studio.store.os_errors import os_errors_as_studio_errors


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "the disk is full"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only"),
        (errno.ENOTDIR, "a file is in the way"),
        (errno.EFBIG, "larger than is allowed"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_an_os_error_becomes_one_sentence_about_the_target(tmp_path: Path, number: int, message: str) -> None:
    with pytest.raises(OutputFailed, match=message) as caught, os_errors_as_studio_errors(tmp_path):
        raise OSError(number, os.strerror(number), str(tmp_path / ".part-1-film.mp4"))
    assert str(tmp_path) in str(caught.value)
    assert ".part-" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_elsewhere_is_named_instead_of_the_target(tmp_path: Path) -> None:
    missing = tmp_path / "model" / "weights.safetensors"
    with pytest.raises(OutputFailed) as caught, os_errors_as_studio_errors(tmp_path / "scratch" / "deep"):
        missing.read_bytes()
    assert str(caught.value) == f"{missing} is missing"


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(errno.ECONNRESET, "reset"),
        TimeoutError(errno.ETIMEDOUT, "timed out"),
    ],
    ids=["connection", "timeout"],
)
def test_a_lost_connection_is_not_a_failure_of_the_disk(tmp_path: Path, error: OSError) -> None:
    with pytest.raises(type(error)), os_errors_as_studio_errors(tmp_path):
        raise error


def test_a_library_that_does_not_load_is_not_a_failure_of_the_disk(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"nowhere\.so"), os_errors_as_studio_errors(tmp_path):
        ctypes.CDLL("libnowhere.so")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(OutputFailed, match="the disk is full"), os_errors_as_studio_errors(tmp_path):
        Path("/dev/full").write_text("x")


def test_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(OutputFailed, match="a file is in the way"), os_errors_as_studio_errors(file):
        (file / "takes").mkdir(parents=True)
