"""The studio's database, in a file of SQLite or on a server of PostgreSQL."""

from __future__ import annotations

import itertools
import logging
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from sqlalchemy import URL, Connection, Engine, select
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from studio.domain.errors import DatabaseAway, OutcomeUnknown, OutputFailed, TransactionLost
from studio.domain.messages import message
from studio.store.database_url import file_of, shown
from studio.store.postgresql import (
    begin_write,
    forget_tokens,
    is_lost,
    postgresql_engine,
    was_committed,
    was_hindered,
)
from studio.store.sqlite import cannot_write, sqlite_engine
from studio.store.tables import ProjectRow

RECONNECT_SECONDS: Final = 20.0
"""How long a server that went away is waited for, as while it restarts."""

_TRIES: Final = 5
"""How often work is done whose transaction was lost."""

_FORGET_EVERY: Final = 500
"""Transactions of this process between two removals of old tokens."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class Database:
    """An open database; each transaction is a `Session` of its own. Tests hand in a clock.

    On PostgreSQL a server that went away is waited for when a transaction begins. A transaction that is cut
    off later raises `TransactionLost`: nothing of it was kept. Where only the answer to a commit was lost,
    the database is asked whether it took place.
    """

    def __init__(
        self,
        url: URL,
        clock: Callable[[], float] | None = None,
        reconnect_seconds: float = RECONNECT_SECONDS,
    ) -> None:
        self.url = url
        self.engine = connect(url, clock)
        self.on_server = file_of(url) is None
        self._reconnect_seconds = reconnect_seconds
        self._writes = itertools.count(1)

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A read transaction: the block sees one consistent state; changes it makes are discarded."""
        options = {"isolation_level": "REPEATABLE READ"} if self.on_server else {}
        engine = self.engine.execution_options(reading=True, **options)
        connection = self._connected(engine, Connection.begin)
        try:
            with connection, Session(connection) as session:
                yield session
        except DBAPIError as error:
            if self.on_server and is_lost(error):
                raise TransactionLost(message("database-lost", database=shown(self.url))) from error
            raise

    @contextmanager
    def write(
        self, *, project: str | None = None, shared: bool = False, checked: bool = True
    ) -> Iterator[Session]:
        """A write transaction: committed as a whole, or rolled back if the block fails; one writer at a time.

        On PostgreSQL, writers of a `project` each are let in together, and so are `shared` ones, which lock
        the rows that they change. A commit that is not `checked` may have taken place where it raises.
        Raises `OutputFailed` where the database cannot be written, as on a full disk, `TransactionLost` where
        nothing of it was kept, and `OutcomeUnknown` where that cannot be found out.
        """
        token = secrets.token_hex(16) if checked and self.on_server else None

        def begin(connection: Connection) -> None:
            connection.begin()
            if self.on_server:
                begin_write(connection, token, shared=shared or project is not None)

        try:
            with (
                self._connected(self.engine, begin) as connection,
                Session(connection, join_transaction_mode="rollback_only") as session,
            ):
                if project is not None and self.on_server:
                    lock_project(session, project)
                yield session
                session.flush()
                self._commit(connection, token)
        except DBAPIError as error:
            raise self._told(error) from error
        if token is not None and next(self._writes) % _FORGET_EVERY == 0:
            self.forget_tokens()

    def transact(
        self,
        work: Callable[[Session], T],
        *,
        project: str | None = None,
        shared: bool = False,
        checked: bool = True,
    ) -> T:
        """The result of work in a write transaction, which is done again where the transaction was lost.

        The work must change nothing but the database. Raises as `write` does, and what the work raises.
        """
        for _ in range(_TRIES - 1):
            try:
                with self.write(project=project, shared=shared, checked=checked) as session:
                    return work(session)
            except TransactionLost as error:
                log.warning("a transaction is begun again: %s", error)
        with self.write(project=project, shared=shared, checked=checked) as session:
            return work(session)

    def close(self) -> None:
        self.engine.dispose()

    def _connected(self, engine: Engine, begin: Callable[[Connection], object]) -> Connection:
        """A connection on which a transaction has begun; a server that is away is waited for."""
        until = time.monotonic() + self._reconnect_seconds
        for wait in (0.02 * 2**n for n in itertools.count()):
            try:
                connection = engine.connect()
                try:
                    begin(connection)
                except BaseException:
                    connection.close()
                    raise
                return connection
            except DBAPIError as error:
                if not self.on_server or not is_lost(error):
                    raise
                if time.monotonic() >= until:
                    raise DatabaseAway(message("database-away", database=shown(self.url))) from error
            time.sleep(min(wait, 1.0, max(until - time.monotonic(), 0.0)))
        raise AssertionError("waits are endless")

    def _commit(self, connection: Connection, token: str | None) -> None:
        try:
            connection.commit()
        except DBAPIError as error:
            if token is None or not is_lost(error):
                raise
            log.warning("a commit was not answered: %s", error.orig)
            if not self._took_place(token):
                raise

    def _took_place(self, token: str) -> bool:
        """Whether the transaction of a token was committed. Raises `OutcomeUnknown`."""
        until = time.monotonic() + self._reconnect_seconds
        while True:
            try:
                with self._connected(self.engine, Connection.begin) as connection:
                    return was_committed(connection, token)
            except (DBAPIError, OutputFailed) as error:
                if time.monotonic() >= until:
                    raise OutcomeUnknown(
                        message("database-outcome-unknown", database=shown(self.url))
                    ) from error

    def _told(self, error: DBAPIError) -> DBAPIError | OutputFailed:
        """What a failed transaction raises."""
        path = file_of(self.url)
        if path is not None:
            return cannot_write(path, error.orig) if isinstance(error, OperationalError) else error
        if is_lost(error):
            return TransactionLost(message("database-lost", database=shown(self.url)))
        if was_hindered(error):
            return TransactionLost(message("database-hindered"))
        if isinstance(error, OperationalError):
            cause = str(error.orig).partition("\n")[0]
            return OutputFailed(message("database-not-written", path=shown(self.url), cause=cause))
        return error

    def forget_tokens(self) -> None:
        """Drops what only checks of old commits would need."""
        try:
            with self.engine.connect() as connection:
                forget_tokens(connection)
        except DBAPIError as error:  # the next one removes them
            log.warning("old tokens stay: %s", error.orig)


def connect(url: URL, clock: Callable[[], float] | None = None) -> Engine:
    """An engine for a database; a file of SQLite is made where there is none."""
    return postgresql_engine(url, clock) if file_of(url) is None else sqlite_engine(url, clock)


def lock_project(session: Session, project: str, *, wait: bool = True) -> bool:
    """Locks the row of a project until the end of the transaction; returns whether it was there to be locked.

    One that another transaction holds is there only for those that `wait`. SQLite has one writer anyway.
    """
    row = select(ProjectRow.id).where(ProjectRow.id == project)
    return session.scalar(row.with_for_update(key_share=True, skip_locked=not wait)) is not None
