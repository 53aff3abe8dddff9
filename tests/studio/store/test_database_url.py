from pathlib import Path

import pytest

from studio.domain.errors import WrongUse
from studio.store.database_url import database_url, file_of, shown


def test_a_studio_has_its_database_in_its_folder_unless_told_otherwise(tmp_path: Path) -> None:
    assert file_of(database_url(None, tmp_path)) == tmp_path / "studio.db"
    assert file_of(database_url("sqlite:////srv/films.db", tmp_path)) == Path("/srv/films.db")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_postgresql_is_reached_through_psycopg_and_shown_without_its_password(
    scheme: str, tmp_path: Path
) -> None:
    url = database_url(f"{scheme}://mira:secret@db:5433/films", tmp_path)
    assert url.drivername == "postgresql+psycopg"
    assert (url.password, url.port, url.database, file_of(url)) == ("secret", 5433, "films", None)
    assert shown(url) == "postgresql+psycopg://mira:***@db:5433/films"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("mysql://db/films", "takes postgresql://… or sqlite:///FILE, got mysql"),
        ("postgresql+asyncpg://db/films", "got postgresql"),
        ("sqlite://", "got sqlite"),
        ("sqlite:///:memory:", "got sqlite"),
        ("films.db", "is no URL"),
    ],
)
def test_other_databases_are_refused(given: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(WrongUse, match=said):
        database_url(given, tmp_path)
