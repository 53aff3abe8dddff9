"""Connections to a server that are cut, and servers that are killed: what was acknowledged is kept, once."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from studio.domain.edits.film import SetFilm
from studio.domain.errors import DatabaseAway, OutcomeUnknown, TransactionLost
from studio.jobs import claims, queue
from studio.jobs.order import RenderOrder
from studio.store import projects
from studio.store.database import Database
from studio.store.database_url import database_url as url_of
from studio.store.tables import EditRow, JobRow
from studio.store.upgrade import open_database
from tests.fakes.cut_connections import Cut, CutConnections
from tests.fakes.postgresql_server import PostgresqlServer
from tests.fakes.projects import project

KILLS = int(os.environ.get("SOAK_KILLS", "3"))
JOBS = int(os.environ.get("SOAK_JOBS", "60"))


@pytest.fixture
def cutter(postgresql: PostgresqlServer) -> Iterator[CutConnections]:
    cutter = CutConnections(postgresql.folder)
    yield cutter
    cutter.close()


@pytest.fixture
def through(server: Database, cutter: CutConnections) -> Iterator[Database]:
    """The same database, reached through what cuts connections."""
    database = Database(server.url.update_query_dict({"host": str(cutter.folder)}), reconnect_seconds=5.0)
    yield database
    database.close()


def made(database: Database) -> str:
    with database.write() as session:
        return projects.create(session, project("Mira waves"), now=1.0)


def retitle(session: Session, name: str, base: int) -> None:
    projects.apply(session, name, SetFilm(title=f"T{base + 1}"), {}, base=base, now=1.0)


def revision(database: Database, name: str) -> int:
    with database.read() as session:
        stored = projects.load(session, name)
        edits = session.scalar(select(func.count()).where(EditRow.project == name))
    assert edits == stored.revision
    return stored.revision


def end_connections(database: Database) -> None:
    """Ends all connections to the database but the one that says so."""
    with database.engine.connect() as connection:
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )


def test_a_transaction_that_is_cut_off_keeps_nothing_and_is_told(server: Database) -> None:
    name = made(server)
    with (
        pytest.raises(TransactionLost, match="was lost; nothing was changed, try again"),
        server.write(project=name) as session,
    ):
        retitle(session, name, 0)
        session.flush()
        end_connections(server)
    assert revision(server, name) == 0


def test_a_read_that_is_cut_off_is_told(server: Database) -> None:
    with pytest.raises(TransactionLost), server.read() as session:
        projects.listed(session)
        end_connections(server)
        projects.listed(session)


def test_work_that_is_cut_off_is_done_again(server: Database) -> None:
    name, tries = made(server), []

    def work(session: Session) -> str:
        retitle(session, name, 0)
        session.flush()
        tries.append(session)
        if len(tries) < 3:
            end_connections(server)
        return "done"

    assert server.transact(work, project=name) == "done"
    assert len(tries) == 3
    assert revision(server, name) == 1


def test_idle_connections_that_ended_are_replaced(server: Database) -> None:
    name = made(server)
    for base in range(3):
        end_connections(server)
        with server.write(project=name) as session:
            retitle(session, name, base)
    assert revision(server, name) == 3


@pytest.mark.parametrize("how", ["before", "after"])
@pytest.mark.parametrize("alone", [True, False])
def test_a_commit_without_an_answer_is_looked_up(
    how: Cut, alone: bool, through: Database, cutter: CutConnections, server: Database
) -> None:
    """It is acknowledged where it took place, and otherwise told: never done twice, never lost."""
    name = made(through)
    cutter.cut = how
    project_held = None if alone else name
    if how == "after":
        with through.write(project=project_held) as session:
            retitle(session, name, 0)
    else:
        with pytest.raises(TransactionLost), through.write(project=project_held) as session:
            retitle(session, name, 0)
    assert cutter.cuts == 1
    assert revision(server, name) == (1 if how == "after" else 0)


@pytest.mark.parametrize("how", ["before", "after"])
def test_edits_are_made_once_whatever_becomes_of_their_commits(
    how: Cut, through: Database, cutter: CutConnections, server: Database
) -> None:
    name = made(through)
    for base in range(6):
        cutter.cut = how if base % 2 else None
        through.transact(partial(retitle, name=name, base=base), project=name)
    assert cutter.cuts == 3
    assert revision(server, name) == 6


@pytest.fixture
def own_server() -> Iterator[PostgresqlServer]:
    """A server to be killed, which writes as a real one."""
    server = PostgresqlServer(fsync=True)
    try:
        server.make_template()
        yield server
    finally:
        server.stop()


def test_servers_that_are_away_are_waited_for_and_told(own_server: PostgresqlServer, tmp_path: Path) -> None:
    url = own_server.new()
    database = open_database(tmp_path, url)
    name = made(database)
    hasty = Database(url_of(url, tmp_path), reconnect_seconds=0.2)
    assert revision(hasty, name) == 0
    own_server.kill()
    with pytest.raises(DatabaseAway, match="cannot be reached; nothing was changed"), hasty.write():
        pass
    with ThreadPoolExecutor(1) as pool:
        editing = pool.submit(database.transact, lambda session: retitle(session, name, 0), project=name)
        time.sleep(0.3)
        own_server.start()
        editing.result(30)
    assert revision(hasty, name) == 1
    with (
        pytest.raises(OutcomeUnknown, match="look whether it is there once the database is back"),
        hasty.write(project=name) as session,
    ):
        retitle(session, name, 1)
        session.flush()
        own_server.kill()
    database.close()
    hasty.close()


def test_a_killed_server_loses_no_edit_and_no_job(own_server: PostgresqlServer, tmp_path: Path) -> None:
    """Editors and workers go on through kills of the server; all that they were told is there, once."""
    url, over, chance = own_server.new(), threading.Event(), random.Random(5)
    open_database(tmp_path, url).close()
    database = Database(url_of(url, tmp_path), reconnect_seconds=120.0)  # a busy machine starts slowly
    names = [made(database) for _ in range(3)]
    with database.write() as session:
        orders = [
            RenderOrder(shot="a", reason="test", seconds=1.0, seed=seed, keep_context=True)
            for seed in range(JOBS)
        ]
        wanted = queue.enqueue(session, names[0], orders)

    def edit(name: str) -> int:
        acknowledged = 0
        while not over.is_set():
            database.transact(partial(retitle, name=name, base=acknowledged), project=name)
            acknowledged += 1
        return acknowledged

    def work(worker: str) -> list[int]:
        done: list[int] = []
        while not over.is_set() or len(done) == 0:
            claim = database.transact(lambda session: claims.claim(session, worker), shared=True)
            if claim is not None:
                finish = partial(claims.finish, claim=claim, result="t")
                database.transact(finish, project=claim.project)
                done.append(claim.job)
            time.sleep(0.01)
        return done

    with ThreadPoolExecutor(5) as pool:
        editing = [pool.submit(edit, name) for name in names]
        working = [pool.submit(work, f"w{number}") for number in range(2)]
        for _ in range(KILLS):
            time.sleep(chance.uniform(0.1, 0.5))
            own_server.kill()
            own_server.start()
        time.sleep(0.3)
        over.set()
        acknowledged = [future.result(60) for future in editing]
        done = [job for future in working for job in future.result(60)]
    assert all(count > 0 for count in acknowledged)
    assert [revision(database, name) for name in names] == acknowledged
    with database.read() as session:
        rows = session.execute(select(JobRow.id, JobRow.state, JobRow.attempts)).all()
    assert sorted(done) == sorted(job for job, state, _ in rows if state == "done")
    assert len(done) == len(set(done))
    assert {attempts for _, _, attempts in rows} <= {0, 1}
    assert set(done) <= set(wanted)
    database.close()
