"""`moc-studio database`, and commands on a studio whose database is elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from studio.cli.main import main
from studio.store.upgrade import open_database
from tests.fakes.inline_studio import Studio
from tests.fakes.postgresql_server import PostgresqlServer


@pytest.fixture
def url(postgresql: PostgresqlServer) -> Iterator[str]:
    """An empty database on a server, without tables."""
    made = postgresql.new("template1")
    yield made
    postgresql.drop(made)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A studio with a rendered film."""
    database = open_database(tmp_path / "studio")
    Studio(tmp_path / "studio", database).rendered()
    database.close()
    return tmp_path / "studio"


def test_a_studio_is_moved_and_goes_on_there(
    root: Path, url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["database", "move", url, "--root", str(root)]) == 0
    told = capsys.readouterr()
    assert "take: 3 rows" in told.err
    assert "and 12 files are as they say" in told.err
    (root / "studio.db").rename(root / "old.db")
    assert main(["projects", "--root", str(root), "--database", url]) == 0
    listed = capsys.readouterr().out
    assert "Test" in listed
    monkeypatch.setenv("MOC_STUDIO_DATABASE", url)
    assert main(["database", "status", "--root", str(root)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("postgresql+psycopg://studio@")
    assert said.endswith("1 projects, 3 jobs\n")
    assert not (root / "studio.db").exists()


def test_a_file_that_is_not_as_its_row_says_is_told(
    root: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    clip = min((root / "artifacts").glob("*/*.mp4"))
    content = clip.read_bytes()
    clip.chmod(0o600)
    clip.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert main(["database", "move", url, "--root", str(root)]) == 1
    assert f"the file {clip.name} is missing or damaged; the rows were moved" in capsys.readouterr().err


def test_a_studio_is_not_moved_to_where_it_is(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["database", "move", f"sqlite:///{root / 'studio.db'}", "--root", str(root)]) == 2
    assert "the studio's rows are in that database already" in capsys.readouterr().err


def test_another_kind_of_database_is_wrong_use(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["projects", "--root", str(root), "--database", "mysql://db/films"]) == 2
    assert "--database: takes postgresql://… or sqlite:///FILE" in capsys.readouterr().err
