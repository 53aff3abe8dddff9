from pathlib import Path

import pytest

from moc_engine.sole_use import sole_use
from studio.cli.film_studio import opened
from studio.domain.errors import Refused
from studio.exchange.film_folder import STUDIO


def test_a_folder_that_another_process_renders_into_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "film"
    with (
        sole_use(folder / STUDIO / "users", ""),
        pytest.raises(Refused, match=f"another process is rendering into {folder}; wait for its end"),
        opened(folder, change=True),
    ):
        pytest.fail("two render into the folder")
    with opened(folder, change=True) as film:
        assert film.project is None
    assert not folder.exists()
