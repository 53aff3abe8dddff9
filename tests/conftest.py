"""What all tests share.

Triton decides whether its kernels are interpreted when it is imported, so `kernels` comes before all else.
Hypothesis has no deadline, as shared machines stall; tests of kernels run on machines that have none.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

import tests.fakes.kernels  # noqa: F401
from tests.fakes.s3 import CREDENTIALS, S3

if find_spec("hypothesis") is not None:
    from hypothesis import settings

    settings.register_profile("patient", deadline=None)
    settings.load_profile("patient")


@pytest.fixture(scope="session", autouse=True)
def cache_of_tests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is kept for later starts is kept for this run of the tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOC_STUDIO_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def s3() -> Iterator[S3]:
    """A server of S3 for this run of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in CREDENTIALS.items():
            patch.setenv(name, value)
        server = S3()
        yield server
        server.stop()
