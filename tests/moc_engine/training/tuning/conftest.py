from collections.abc import Iterator

import pytest

from tests.fakes.tuning_forks import TuningForks, tuning_forks


@pytest.fixture(scope="session")
def forks() -> Iterator[TuningForks]:
    with tuning_forks() as found:
        yield found
