"""PostgreSQL: connections, locks, and whether a commit that was cut off took place.

A transaction that writes holds locks until its end, taken before it reads:

    write()                 the studio, alone: as on SQLite, nothing else is written meanwhile
    write(project=…)        the studio together with others, and the row of the project, alone
    write(shared=True)      the studio together with others; it locks the rows that it changes itself

Others may write in the second and third case, so a transaction sees what was committed before each of its
statements (READ COMMITTED), and relies only on what it locked. Locks are taken in this order: studio,
project, job. What takes them in another order must not wait (SKIP LOCKED).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from studio.domain.errors import ForeignDatabase
from studio.domain.messages import message
from studio.store.clock import POSTGRESQL_NOW

APPLICATION: Final = "moc-studio"
"""The name of our connections, and the comment on the table of migrations that marks our databases."""

LOCK: Final = 0x4D6F4353
"""The advisory lock of a studio ("MoCS"): of its writers, and of who migrates it."""

LOCK_SECONDS: Final = 20
"""How long a transaction waits for another's lock."""

IDLE_SECONDS: Final = 120
"""How long a transaction that writes may be silent before the server ends it: its client is gone."""

CONNECT_SECONDS: Final = 10

TOKEN_SECONDS: Final = 86_400
"""How long the token of a transaction is kept: a client may sleep before it asks for it."""

_ENDED: Final = ("57P01", "57P02", "57P03", "57P05", "25P03")
"""SQLSTATE of a server that ends or starts, and of sessions that it ended."""

_HINDERED: Final = ("40001", "40P01")
"""SQLSTATE of a serialization failure and a deadlock."""

_BEGIN: Final = """
WITH token AS (
    INSERT INTO commit_token (token, at, revoked) SELECT given, {now}, false
    FROM (SELECT CAST(:token AS text)) AS named(given) WHERE given IS NOT NULL
)
SELECT pg_advisory_xact_lock{shared}({lock}),
    set_config('idle_in_transaction_session_timeout', '{idle}', true)
"""


def postgresql_engine(url: URL, clock: Callable[[], float] | None = None) -> Engine:
    """An engine for a database of a server. Tests hand in a clock, in place of the server's."""
    engine = create_engine(
        url,
        pool_size=10,
        max_overflow=20,
        pool_pre_ping=True,
        connect_args={
            "application_name": APPLICATION,
            "client_encoding": "utf8",
            "connect_timeout": CONNECT_SECONDS,
            "keepalives_idle": 15,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 30_000,  # milliseconds until a server that does not answer is given up
            "prepare_threshold": None,  # poolers between client and server do not know prepared statements
        },
    )

    @event.listens_for(engine, "connect")
    def settle(connection: Any, record: object) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
            cursor.execute("SET TimeZone = 'UTC'")
        connection.commit()

    if clock is not None:
        _tell_time_by(engine, clock)
    return engine


def begin_write(connection: Connection, token: str | None, *, shared: bool) -> None:
    """Takes the lock of the studio; `token` will be in the database once the transaction was committed."""
    connection.execute(_BEGIN_SHARED if shared else _BEGIN_ALONE, {"token": token})


def lock_orders(session: Session) -> None:
    """Lets one transaction at a time order jobs of no project; SQLite has one writer anyway."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"SELECT pg_advisory_xact_lock({LOCK}, 1)"))


def was_committed(connection: Connection, token: str) -> bool:
    """Whether the transaction of this token took place. Where it did not, it cannot take place any more.

    A transaction whose client is gone may still run: putting its token in its place waits for its end.
    """
    connection.execute(_REVOKE, {"token": token})
    revoked = connection.scalar(_REVOKED, {"token": token})
    connection.commit()
    return revoked is False


def forget_tokens(connection: Connection) -> None:
    """Drops the tokens that nobody asks for any more."""
    connection.execute(text(f"DELETE FROM commit_token WHERE at < {POSTGRESQL_NOW} - {TOKEN_SECONDS}"))
    connection.commit()


def marked_revision(connection: Connection, called: str, ours: Collection[str]) -> str | None:
    """The migration that a database is at, which must be one of `ours`; None for an empty database.

    Raises `ForeignDatabase`, which says what it is `called`.
    """
    encoding = str(connection.scalar(text("SHOW server_encoding")))
    if encoding != "UTF8":
        raise ForeignDatabase(message("database-encoding", path=called, encoding=encoding))
    if not connection.scalar(_TABLES):
        return None
    foreign = ForeignDatabase(message("database-server-foreign", path=called))
    if connection.scalar(_MARK) != APPLICATION:
        raise foreign
    revision = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if revision is None:
        raise foreign
    if revision not in ours:
        raise ForeignDatabase(message("database-newer", path=called))
    return str(revision)


def mark_as_ours(connection: Connection) -> None:
    """Marks a database, as part of the transaction that makes its tables."""
    connection.execute(text(f"COMMENT ON TABLE alembic_version IS '{APPLICATION}'"))


def lock_for_migration(connection: Connection) -> None:
    """Waits until nobody else migrates or writes, and keeps them out until the end of the transaction."""
    connection.execute(text("SET LOCAL lock_timeout = 0"))
    connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))


def is_lost(error: DBAPIError) -> bool:
    """Whether the connection to the server is gone, or could not be made."""
    state = getattr(error.orig, "sqlstate", None)
    if error.connection_invalidated or state in _ENDED:
        return True
    return isinstance(error, (OperationalError, InterfaceError)) and (state is None or state[:2] == "08")


def was_hindered(error: DBAPIError) -> bool:
    """Whether the server took back a transaction that others were in the way of."""
    return getattr(error.orig, "sqlstate", None) in _HINDERED


_TABLES: Final = text(
    "SELECT count(*) FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace"
    " WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND nspname = current_schema()"
)
_MARK: Final = text("SELECT obj_description(to_regclass('alembic_version'), 'pg_class')")

_REVOKED: Final = text("SELECT revoked FROM commit_token WHERE token = :token")
_REVOKE: Final = text(
    f"INSERT INTO commit_token (token, at, revoked) VALUES (:token, {POSTGRESQL_NOW}, true)"
    " ON CONFLICT DO NOTHING"
)


def _begin(shared: str) -> Any:
    return text(_BEGIN.format(now=POSTGRESQL_NOW, idle=f"{IDLE_SECONDS}s", shared=shared, lock=LOCK))


_BEGIN_SHARED: Final = _begin("_shared")
_BEGIN_ALONE: Final = _begin("")


def _tell_time_by(engine: Engine, clock: Callable[[], float]) -> None:
    @event.listens_for(engine, "before_cursor_execute", retval=True)
    def put_time(
        connection: object, cursor: object, statement: str, parameters: Any, context: object, many: bool
    ) -> tuple[str, Any]:
        return statement.replace(POSTGRESQL_NOW, repr(float(clock()))), parameters
