"""Gives the takes in a database new ids, wherever rows name them. See `take_renaming`.

The tables are read as they are in the database, since migrations of any version use this.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, MetaData, Table, delete, insert, select, update
from sqlalchemy.orm import Session

from studio.store.tables import TakeRow
from studio.store.take_renaming import (
    Record,
    RenameModel,
    legacy_identity,
    merged_takes,
    renamed_change,
    renamed_document,
    renamed_ids,
    renamed_take,
)


def models_of_projects(connection: Connection) -> list[str]:
    """The models that projects name in their settings, folders and hub ids."""
    project = _table(connection, "project")
    documents = connection.scalars(select(project.c.document))
    models = (document.get("settings", {}).get("model") for document in documents)
    return sorted({str(model) for model in models if model is not None})


def adopt_model(session: Session, model: str | None, identity: str) -> int:
    """Gives takes that version 0.1 made with a model the model's identity of today; returns how many."""
    legacy = legacy_identity(model)
    if legacy is None or legacy == identity:
        return 0
    made = select(TakeRow.id).where(TakeRow.inputs["model"].as_string() == legacy).limit(1)
    if session.scalar(made) is None:
        return 0
    return rename_takes(session.connection(), lambda name: identity if name == legacy else name)


def rename_takes(connection: Connection, rename_model: RenameModel) -> int:
    """Renames the models of all takes; returns how many takes have a new id.

    Where takes of a project get one id, since they were made from equal inputs, the first one stays, with the
    former ids of all.
    """
    project = _table(connection, "project")
    return sum(
        _rename_project(connection, name, rename_model)
        for name in connection.scalars(select(project.c.id)).all()
    )


def _rename_project(connection: Connection, project: str, rename_model: RenameModel) -> int:
    take, strip = _table(connection, "take"), _table(connection, "strip")
    rows = [dict(row) for row in connection.execute(_of(take, project)).mappings()]
    inputs = {row["id"]: row["inputs"] for row in rows}
    ids = renamed_ids(inputs, rename_model)
    changed = {old: new for old, new in ids.items() if old != new}
    records = merged_takes(
        renamed_take(row, ids, rename_model) for row in sorted(rows, key=lambda row: row["id"] in changed)
    )
    before = {row["id"]: row for row in rows}
    for record in records:
        if record["id"] not in before:
            connection.execute(insert(take).values(record))
        elif record != before[record["id"]]:
            connection.execute(_one(update(take), take, project, record["id"]).values(record))
    if changed:
        _rename_in_strips(connection, strip, project, changed)
        for old in changed.keys() - {record["id"] for record in records}:
            connection.execute(_one(delete(take), take, project, old))
        _rename_in_documents(connection, project, changed)
        _rename_in_jobs(connection, project, changed)
    return len(changed)


def _rename_in_strips(connection: Connection, strip: Table, project: str, ids: dict[str, str]) -> None:
    rows = [dict(row) for row in connection.execute(_of(strip, project)).mappings()]
    kept = {(row["shot"], row["take"]) for row in rows if row["take"] not in ids}
    for row in rows:
        renamed = row["shot"], ids.get(row["take"], row["take"])
        if renamed not in kept:
            kept.add(renamed)
            connection.execute(insert(strip).values({**row, "take": ids[row["take"]]}))
    connection.execute(delete(strip).where(strip.c.project == project, strip.c.take.in_(list(ids))))


def _rename_in_documents(connection: Connection, project: str, ids: dict[str, str]) -> None:
    table, edit = _table(connection, "project"), _table(connection, "edit")
    document = connection.scalars(select(table.c.document).where(table.c.id == project)).one()
    connection.execute(
        update(table).where(table.c.id == project).values(document=renamed_document(document, ids))
    )
    for row in connection.execute(_of(edit, project)).mappings().all():
        sides: Record = {side: renamed_change(row[side], ids) for side in ("before", "after")}
        if any(sides[side] != row[side] for side in sides):
            connection.execute(update(edit).where(edit.c.number == row["number"]).values(sides))


def _rename_in_jobs(connection: Connection, project: str, ids: dict[str, str]) -> None:
    job = _table(connection, "job")
    made = job.c["take" if "take" in job.c else "result"]
    for old, new in ids.items():
        connection.execute(update(job).where(job.c.project == project, made == old).values({made.name: new}))


def _of(table: Table, project: str) -> Any:
    return select(table).where(table.c.project == project)


def _one(statement: Any, take: Table, project: str, name: str) -> Any:
    return statement.where(take.c.project == project, take.c.id == name)


def _table(connection: Connection, name: str) -> Table:
    return Table(name, MetaData(), autoload_with=connection, resolve_fks=False)
