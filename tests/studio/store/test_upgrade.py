"""Opening a studio's database: made, brought up to date, or refused and left as it was."""

import random
import shutil
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from studio.domain.edits.film import SetFilm
from studio.domain.errors import ForeignDatabase, OutputFailed
from studio.jobs import queue
from studio.jobs.order import RenderOrder
from studio.store import projects, takes
from studio.store.database import Database
from studio.store.sqlite import APPLICATION
from studio.store.tables import Table
from studio.store.upgrade import MIGRATIONS, back_up, open_database
from tests.fakes.doomed import PROCESSES, open_slowly
from tests.fakes.projects import project


def content(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*") if file.is_file()}


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def ours(root: Path) -> str:
    """A database with a project and an edit in it."""
    database = open_database(root)
    with database.write() as session:
        name = projects.create(session, project("Mira waves"), now=1.0)
        projects.apply(session, name, SetFilm(title="New"), {}, base=0, now=2.0)
    database.close()
    return name


def test_a_new_database_is_marked_and_has_all_tables(tmp_path: Path) -> None:
    database = open_database(tmp_path / "deep" / "studio")
    with database.read() as session:
        connection = session.connection()
        assert connection.exec_driver_sql("PRAGMA application_id").scalar() == APPLICATION
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
    database.close()
    assert not (tmp_path / "deep" / "studio" / "backups").exists()


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    name = ours(tmp_path)
    before = content(tmp_path)
    database = open_database(tmp_path)
    with database.read() as session:
        assert projects.load(session, name).undo == "change the title"
    database.close()
    assert content(tmp_path) == before


def test_many_may_open_a_new_one_at_once(tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        for database in pool.map(lambda _: open_database(tmp_path), range(6)):
            with database.read() as session:
                assert projects.listed(session) == []
            database.close()


def statement(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        for said in statements:
            connection.execute(said)
        connection.commit()


def foreign(path: Path) -> None:
    statement(path, "CREATE TABLE note (text)", "INSERT INTO note VALUES ('mine')")


def foreign_of_a_known_kind(path: Path) -> None:
    foreign(path)
    statement(path, "PRAGMA application_id = 1")


def foreign_in_wal(path: Path) -> None:
    statement(path, "PRAGMA journal_mode = wal", "CREATE TABLE note (text)")


def foreign_with_a_log(path: Path) -> None:
    """As another program leaves it when it is killed."""
    living = path.with_name("living.db")
    with closing(sqlite3.connect(living)) as connection:
        connection.execute("PRAGMA journal_mode = wal")
        connection.execute("CREATE TABLE note (text)")
        connection.commit()
        for end in ("", "-wal", "-shm"):
            shutil.copy(f"{living}{end}", f"{path}{end}")
    living.unlink()


def foreign_with_alembic(path: Path) -> None:
    foreign(path)
    statement(
        path, "CREATE TABLE alembic_version (version_num)", "INSERT INTO alembic_version VALUES ('0001')"
    )


def newer(path: Path) -> None:
    ours(path.parent)
    statement(path, "UPDATE alembic_version SET version_num = '9999'")


def without_a_version(path: Path) -> None:
    ours(path.parent)
    statement(path, "DELETE FROM alembic_version")


def only_the_mark(path: Path) -> None:
    foreign(path)
    statement(path, f"PRAGMA application_id = {APPLICATION}")


def damaged(path: Path) -> None:
    ours(path.parent)
    data = bytearray(path.read_bytes())
    data[100:] = random.Random(1).randbytes(len(data) - 100)
    path.write_bytes(data)


def cut(path: Path) -> None:
    ours(path.parent)
    path.write_bytes(path.read_bytes()[:5000])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (foreign, "belongs to another program"),
        (foreign_of_a_known_kind, "belongs to another program"),
        (foreign_in_wal, "belongs to another program"),
        (foreign_with_a_log, "belongs to another program"),
        (foreign_with_alembic, "belongs to another program"),
        (only_the_mark, "belongs to another program"),
        (without_a_version, "belongs to another program"),
        (newer, "was written by a newer version"),
        (damaged, "cannot be read as a database"),
        (cut, "cannot be read as a database"),
        (lambda path: path.write_text("hello"), "cannot be read as a database"),
        (lambda path: path.write_bytes(bytes(4096)), "cannot be read as a database"),
        (lambda path: path.write_bytes(b"SQLite format 3\0"), "belongs to another program"),
        (lambda path: path.write_bytes(random.Random(2).randbytes(9000)), "cannot be read as a database"),
    ],
)
def test_what_is_not_ours_is_refused_and_left_as_it_was(tmp_path: Path, make: object, words: str) -> None:
    assert callable(make)
    make(tmp_path / "studio.db")
    before = content(tmp_path)
    for _ in range(2):
        with pytest.raises(ForeignDatabase, match=words):
            open_database(tmp_path)
    after = content(tmp_path)
    after.pop("studio.db-shm", None)  # an index of the log, which SQLite makes anew
    before.pop("studio.db-shm", None)
    assert after == before


def test_a_folder_in_the_way_is_told(tmp_path: Path) -> None:
    (tmp_path / "studio.db").mkdir()
    with pytest.raises(OutputFailed):
        open_database(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputFailed, match="a file is in the way"):
        open_database(tmp_path / "file")


def test_what_a_killed_process_began_is_taken_back(tmp_path: Path) -> None:
    living, killed = tmp_path / "living", tmp_path / "killed"
    name = ours(living)
    killed.mkdir()
    with closing(sqlite3.connect(living / "studio.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = delete")
        connection.execute("PRAGMA cache_size = 1")  # pages go to the file before the commit
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE project SET revision = 99")
        for number in range(200):
            connection.execute("INSERT INTO setting VALUES (?, ?)", (str(number), "x" * 2000))
        for file in living.iterdir():
            shutil.copy(file, killed / file.name)
    assert sorted(content(killed)) == ["studio.db", "studio.db-journal"]
    database = open_database(killed)
    with database.read() as session:
        assert projects.load(session, name).revision == 1
    database.close()


def test_a_backup_is_of_one_moment_and_takes_no_others_place(tmp_path: Path) -> None:
    ours(tmp_path)
    copies = [back_up(tmp_path / "studio.db", tmp_path / "backups") for _ in range(3)]
    assert len(set(copies)) == 3
    assert sorted(copies) == sorted((tmp_path / "backups").iterdir())
    for copy in copies:
        assert dump(copy) == dump(tmp_path / "studio.db")


# migrations that are yet to come

NEXT = """
import os, signal, time
import sqlalchemy as sa
from alembic import op

revision = "next"
down_revision = "{head}"


def upgrade():
    with op.batch_alter_table("project", recreate="always") as batch:
        batch.add_column(sa.Column("note", sa.String()))
    op.create_table("later", sa.Column("id", sa.Integer(), primary_key=True))
    {ending}
"""


def migrations(folder: Path, ending: str = "") -> Path:
    shutil.copytree(MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    head = ScriptDirectory(str(MIGRATIONS)).get_current_head()
    (folder / "versions" / "next.py").write_text(NEXT.format(ending=ending, head=head))
    return folder


def columns(database: Database, table: str) -> list[str]:
    with database.read() as session:
        return [row[1] for row in session.connection().exec_driver_sql(f"PRAGMA table_info({table})")]


def test_a_migration_keeps_all_rows_and_takes_a_backup_first(tmp_path: Path) -> None:
    root = tmp_path / "studio"
    name = ours(root)
    before = dump(root / "studio.db")
    database = open_database(root, migrations=migrations(tmp_path / "migrations"))
    assert "note" in columns(database, "project")
    with database.read() as session:
        stored = projects.load(session, name)
        assert (stored.project.board.title, stored.undo) == ("New", "change the title")
        assert session.connection().exec_driver_sql("PRAGMA foreign_keys").scalar() == 1
    database.close()
    (backup,) = (root / "backups").iterdir()
    assert dump(backup) == before
    with pytest.raises(ForeignDatabase, match="newer version"):  # by the program as it was
        open_database(root)


def test_a_database_of_the_first_schema_keeps_its_takes(tmp_path: Path) -> None:
    first = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, first, ignore=shutil.ignore_patterns("__pycache__", "000[2-9]*"))
    open_database(tmp_path, migrations=first).close()
    path = tmp_path / "studio.db"
    digests = ("'c'", "'l'", "'t'", "'p'")
    inputs = '{"model": "m", "caption": "Mira waves", "global_caption": "", "cast": ["Mira"], "seconds": 2.0,'
    inputs += ' "fps": 12.0, "size": [96, 54], "seed": 7}'
    statement(
        path,
        "INSERT INTO project VALUES ('one', '{}', 0, 1.0, 1.0, 1.0, NULL)",
        *(f"INSERT INTO artifact VALUES ({digest}, '.x', 1, 1.0)" for digest in digests),
        f"INSERT INTO take VALUES ('one', 'take', '{inputs}', 'Mira waves', '[[\"a\", \"x\"]]', "
        f"'{{\"x\": 0.2}}', 0.8, NULL, 24, 'grouped', '{{}}', {', '.join(digests)}, 2.0)",
    )
    database = open_database(tmp_path)
    with database.read() as session:
        (take,) = takes.takes_of(session, "one").values()
    database.close()
    assert (take.id, take.former_ids) == (take.inputs.take_id, ("take",))
    assert (take.share("x"), take.dependence("x"), take.caption_share, take.strongest) == (1.0, 1.0, None, {})


def test_jobs_of_the_second_schema_are_renders_and_their_numbers_are_not_given_again(tmp_path: Path) -> None:
    second = tmp_path / "migrations"
    shutil.copytree(MIGRATIONS, second, ignore=shutil.ignore_patterns("__pycache__", "000[3-9]*"))
    open_database(tmp_path, migrations=second).close()
    asked = '{"seed": 7, "keep_context": true, "replace": false}'
    statement(
        tmp_path / "studio.db",
        "INSERT INTO project VALUES ('one', '{}', 0, 1.0, 1.0, 1.0, NULL)",
        *(
            "INSERT INTO job (id, project, shot, place, state, asked, reason, seconds, attempts, fence, "
            f"cancelled, take, created) VALUES ({number}, 'one', 'a', {number}.5, '{state}', "
            f"'{asked}', 'new', 2.0, 1, 3, 0, {take}, 1.0)"
            for number, state, take in ((4, "done", "'t'"), (5, "queued", "NULL"), (9, "cancelled", "NULL"))
        ),
        "INSERT INTO preview VALUES (5, 2, x'00')",
        "DELETE FROM job WHERE id = 9",
    )
    database = open_database(tmp_path)
    with database.write() as session:
        done, queued = queue.jobs_of(session)
        (new,) = queue.enqueue(session, "one", [RenderOrder(shot="b", reason="test", seconds=1.0)])
    database.close()
    order = RenderOrder(shot="a", reason="new", seconds=2.0, seed=7, keep_context=True, replace=False)
    assert (done.id, done.order, done.state, done.result) == (4, order, "done", "t")
    assert (queued.id, queued.order, queued.position, queued.picture) == (5, order, 5.5, 2)
    assert new == 10


@pytest.mark.parametrize(
    "ending",
    [
        "raise KeyError('torn')",
        "op.execute('DELETE FROM project')",  # would leave its edits without it
        "op.execute('SELECT nothing')",
    ],
)
def test_a_migration_that_fails_leaves_everything_as_it_was(tmp_path: Path, ending: str) -> None:
    root = tmp_path / "studio"
    ours(root)
    before = dump(root / "studio.db")
    with pytest.raises(Exception, match=r"torn|nothing"):
        open_database(root, migrations=migrations(tmp_path / "migrations", ending))
    assert dump(root / "studio.db") == before
    open_database(root).close()


def test_a_migration_that_is_killed_leaves_the_old_state(tmp_path: Path) -> None:
    root = tmp_path / "studio"
    ours(root)
    before = dump(root / "studio.db")
    folder = migrations(tmp_path / "migrations", "os.kill(os.getpid(), signal.SIGKILL)")
    assert killed(root, folder) == ["begin"]
    open_database(root).close()
    assert dump(root / "studio.db") == before


def test_a_new_database_survives_kills_while_it_is_made(tmp_path: Path) -> None:
    chance = random.Random(3)
    told = []
    for number in range(8):
        root = tmp_path / str(number)
        told += killed(root, MIGRATIONS, after=chance.uniform(0, 0.12))
        database = open_database(root)
        with database.write() as session:
            projects.create(session, project("Mira waves"), now=1.0)
        database.close()
    assert told.count("begin") == 8


def killed(root: Path, folder: Path, after: float | None = None) -> list[str]:
    """What a process that opens the database tells until it is killed."""
    ours, theirs = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=open_slowly, args=(root, folder, theirs))
    process.start()
    theirs.close()
    told = [ours.recv()]
    if after is not None:
        time.sleep(after)
        process.kill()
    process.join()
    try:
        while True:
            told.append(ours.recv())
    except EOFError:
        ours.close()
    return told
