"""Copies all rows of a studio's database into another one, and compares the two row by row.

A copy may be killed and begun again: rows that are there are written over, and those that the source has no
longer are removed. Until the comparison the target bears a mark, and no studio is opened with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from typing import Any, Final

from sqlalchemy import Column, Row, Table, delete, func, select, text, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from studio.domain.errors import DamagedFolder, Refused
from studio.domain.messages import message
from studio.store.column_types import storable
from studio.store.database import Database
from studio.store.database_url import shown
from studio.store.tables import CommitTokenRow, JobRow, SettingRow
from studio.store.tables import Table as Tables

_MARK: Final = "move from"
_ROWS: Final = 200
"""Rows that are copied in one transaction."""

_SET_LAST: Final = text("SELECT setval(pg_get_serial_sequence(:table, :column), :last, :given)")

Told = Callable[[str, int], None]
"""Is told of a table and how many of its rows are in the target."""


def move_database(source: Database, target: Database, told: Told = lambda table, rows: None) -> int:
    """Makes the target equal to the source, in which nobody writes meanwhile; returns the number of rows.

    Raises `Refused` while a job runs, and for a target that is in use; `DamagedFolder` where a row differs
    afterwards.
    """
    with source.write() as session:
        if session.scalar(select(func.count()).where(JobRow.state == "running")):
            raise Refused(message("database-move-running"))
        _begin(target, shown(source.url))
        for table in _tables():
            rows = 0
            for page in _pages(session, table):
                _put(target, table, page)
                rows += len(page)
                told(table.name, rows)
        for table in reversed(_tables()):
            _remove_others(session, target, table)
        for table in _tables():
            _go_on_counting(session, target, table)
        rows = sum(_compared(session, target, table) for table in _tables())
        with target.write() as other:
            other.execute(delete(SettingRow).where(SettingRow.name == _MARK))
    return rows


def is_being_moved(session: Session) -> bool:
    """Whether a database is the target of a copy that did not come to its end."""
    return session.get(SettingRow, _MARK) is not None


def _tables() -> Sequence[Table]:
    """All tables, each after those that it refers to; tokens are of one server's transactions."""
    return [table for table in Tables.metadata.sorted_tables if table.name != CommitTokenRow.__tablename__]


def _begin(target: Database, source: str) -> None:
    with target.write() as session:
        if is_being_moved(session):
            return
        if any(session.scalar(select(func.count()).select_from(table)) for table in _tables()):
            raise Refused(message("database-move-in-use", database=shown(target.url)))
        session.add(SettingRow(name=_MARK, value={"source": source}))


def _pages(session: Session, table: Table) -> Iterator[Sequence[Row[Any]]]:
    """The rows of a table in the order of their keys."""
    key = tuple_(*table.primary_key)
    rest = select(table).order_by(*table.primary_key).limit(_ROWS)
    if table.name == SettingRow.__tablename__:
        rest = rest.where(table.c.name != _MARK)
    page = session.execute(rest).all()
    while page:
        yield page
        last = tuple(page[-1]._mapping[column] for column in table.primary_key)
        page = session.execute(rest.where(key > last)).all()


def _put(target: Database, table: Table, rows: Sequence[Row[Any]]) -> None:
    on = postgresql if target.on_server else sqlite
    putting = on.insert(table)
    others = {column.name: putting.excluded[column.name] for column in _beside_the_key(table)}
    if others:
        putting = putting.on_conflict_do_update(index_elements=list(table.primary_key), set_=others)
    else:
        putting = putting.on_conflict_do_nothing()
    with target.write() as session:
        session.execute(putting, [dict(row._mapping) for row in rows])


def _remove_others(source: Session, target: Database, table: Table) -> None:
    """Removes rows from the target that the source does not have."""
    key = tuple_(*table.primary_key)
    there = {tuple(row) for row in source.execute(select(*table.primary_key))}
    with target.write() as session:
        for row in session.execute(select(*table.primary_key)).all():
            is_mark = table.name == SettingRow.__tablename__ and row[0] == _MARK
            if tuple(row) not in there and not is_mark:
                session.execute(delete(table).where(key == tuple(row)))


def _go_on_counting(source: Session, target: Database, table: Table) -> None:
    """Lets the target give numbers after the last one that the source gave, whose row may be gone."""
    column = table.autoincrement_column
    if column is None:
        return
    last = max(_last_given(source, table, column), source.scalar(select(func.max(column))) or 0)
    with target.write() as session:
        names = {"table": table.name, "column": column.name, "last": max(last, 1), "given": last > 0}
        if target.on_server:
            session.execute(_SET_LAST, names)
        elif table.dialect_options["sqlite"]["autoincrement"]:
            session.execute(text("DELETE FROM sqlite_sequence WHERE name = :table"), names)
            if last:
                session.execute(text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table, :last)"), names)


def _last_given(session: Session, table: Table, column: Column[Any]) -> int:
    if session.get_bind().dialect.name == "postgresql":
        said = text(f"SELECT last_value, is_called FROM {table.name}_{column.name}_seq")
        last, given = session.execute(said).one()
        return int(last) if given else 0
    if not table.dialect_options["sqlite"]["autoincrement"]:
        return 0
    kept = text("SELECT seq FROM sqlite_sequence WHERE name = :table")
    return int(session.scalar(kept, {"table": table.name}) or 0)


def _compared(source: Session, target: Database, table: Table) -> int:
    """The number of a table's rows, which are equal in both. Raises `DamagedFolder`."""
    rows = 0
    with target.read() as session:
        for ours, theirs in zip_longest(_all(source, table), _all(session, table)):
            if ours != theirs:
                raise DamagedFolder(message("database-move-differs", table=table.name, row=rows + 1))
            rows += 1
    return rows


def _all(session: Session, table: Table) -> Iterator[tuple[Any, ...]]:
    for page in _pages(session, table):
        for row in page:
            yield tuple(storable(value) if isinstance(value, str) else value for value in row)


def _beside_the_key(table: Table) -> list[Column[Any]]:
    return [column for column in table.columns if not column.primary_key]
