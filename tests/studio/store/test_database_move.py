"""Moves of a studio's rows between SQLite and PostgreSQL."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sqlalchemy import select

from studio.domain.errors import DamagedFolder, Refused
from studio.domain.messages import message
from studio.jobs import claims, queue
from studio.jobs.order import RenderOrder
from studio.store import projects, takes
from studio.store.database import Database
from studio.store.database_move import move_database
from studio.store.tables import ArtifactRow, EditRow, FootageRow, JobRow, PreviewRow, ProjectRow, SettingRow
from studio.store.upgrade import open_database
from tests.fakes.inline_studio import Studio


def order(shot: str) -> RenderOrder:
    return RenderOrder(shot=shot, reason="test", seconds=1.0, keep_context=True)


@pytest.fixture
def filled(file_database: Database, tmp_path: Path) -> tuple[Database, str]:
    """A studio with a rendered film, edits, jobs, footage and settings, and the film's id."""
    studio = Studio(tmp_path, file_database)
    name = studio.rendered()
    with file_database.write() as session:
        session.add_all(
            EditRow(project=name, words=f"é {n}", before={"n": n}, after={"nul": "\0"}, at=n / 3)
            for n in range(450)
        )
        session.add(FootageRow(id="f", name="long.mp4", path=None, notes=["é"], created=0.1, changed=2e9))
        session.add(SettingRow(name="queue paused", value={"on": False}))
        session.add(ArtifactRow(digest="0" * 64, suffix=".x", bytes=2**40, created=1.0))
        last = queue.enqueue(session, name, [order("a"), order("b"), order("c")])
        session.add(PreviewRow(job=last[0], number=3, picture=bytes(range(256))))
        session.delete(session.get_one(JobRow, last[2]))
    return file_database, name


def test_a_studio_goes_on_in_its_new_database(filled: tuple[Database, str], server: Database) -> None:
    source, name = filled
    told: list[tuple[str, int]] = []
    rows = move_database(source, server, lambda table, count: told.append((table, count)))
    assert rows > 450
    assert ("edit", 400) in told
    with source.read() as old, server.read() as new:
        assert projects.load(new, name) == projects.load(old, name)
        assert takes.takes_of(new, name) == takes.takes_of(old, name)
        assert queue.jobs_of(new) == queue.jobs_of(old)
        assert [row.after for row in new.scalars(select(EditRow).order_by(EditRow.number))] == [
            row.after for row in old.scalars(select(EditRow).order_by(EditRow.number))
        ]
        gone = max(job.id for job in queue.jobs_of(old)) + 1
    with server.write() as session:
        assert queue.enqueue(session, name, [order("c")]) == [gone + 1]


def test_and_back_again(
    filled: tuple[Database, str], server: Database, new_database: Path, tmp_path: Path
) -> None:
    source, name = filled
    rows = move_database(source, server)
    (tmp_path / "back").mkdir()
    shutil.copy(new_database, tmp_path / "back")
    back = open_database(tmp_path / "back")
    assert move_database(server, back) == rows
    with source.read() as old, back.read() as new:
        assert projects.load(new, name) == projects.load(old, name)
        gone = max(job.id for job in queue.jobs_of(old)) + 1
    with back.write() as session:
        assert queue.enqueue(session, name, [order("c")]) == [gone + 1]
    back.close()


def test_a_move_that_was_killed_is_begun_again(filled: tuple[Database, str], server: Database) -> None:
    """Whatever was changed, added and removed between the two is as the source has it."""
    source, name = filled

    def die(table: str, rows: int) -> None:
        if (table, rows) == ("edit", 400):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        move_database(source, server, die)
    root = Path(str(source.url.database)).parent
    url = server.url.render_as_string(hide_password=False)
    with pytest.raises(Refused, match="was not moved to its end"):
        open_database(root, url)
    with source.write() as session:
        edits = session.scalars(select(EditRow).order_by(EditRow.number)).all()
        session.delete(edits[3])
        edits[4].words = "changed"
        session.get_one(ProjectRow, name).opened = 9.0
    target = open_database(root, url, moving=True)
    move_database(source, target)
    target.close()
    reopened = open_database(root, url)
    with reopened.read() as new, source.read() as old:
        kept = select(EditRow.number, EditRow.words).order_by(EditRow.number)
        assert new.execute(kept).all() == old.execute(kept).all()
        assert new.get_one(ProjectRow, name).opened == 9.0
    reopened.close()


def test_a_database_in_use_is_not_written_over(filled: tuple[Database, str], server: Database) -> None:
    move_database(filled[0], server)
    with pytest.raises(Refused, match="holds a studio already; move into an empty database"):
        move_database(filled[0], server)


def test_a_running_job_is_not_torn_away_from_its_worker(
    filled: tuple[Database, str], server: Database
) -> None:
    with filled[0].write() as session:
        assert claims.claim(session, "w") is not None
    with pytest.raises(Refused, match="a job is running"):
        move_database(filled[0], server)
    with server.read() as session:
        assert projects.listed(session) == []


def test_a_row_that_came_to_differ_is_told(filled: tuple[Database, str], server: Database) -> None:
    source, name = filled
    changed: list[str] = []

    def change(table: str, rows: int) -> None:
        if table == "setting":  # tables of projects come before it
            with server.write() as session:
                row = session.get(ProjectRow, name)
                if row is not None and not changed:
                    row.changed += 1.0
                    changed.append(name)

    expected = str(message("database-move-differs", table="project", row=1))
    with pytest.raises(DamagedFolder) as error:
        move_database(source, server, change)
    assert str(error.value) == expected
    assert changed == [name]
