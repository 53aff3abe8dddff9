"""Take inputs have a version, and models are named by all their weights; takes get the ids that follow."""

from __future__ import annotations

import re

import sqlalchemy as sa
from alembic import op

from studio.store.column_types import Text
from studio.store.model_identity import ModelIdentities
from studio.store.rename_rows import models_of_projects, rename_takes
from studio.store.take_renaming import current_models

revision = "0003"
down_revision = "0002"

_PROGRAM = re.compile(r" \((\d+\.\d+\.\d+)\)$")


def upgrade() -> None:
    with op.batch_alter_table("take", schema=None) as batch:
        batch.add_column(sa.Column("former_ids", sa.JSON(), nullable=False, server_default="[]"))
        batch.add_column(sa.Column("program", Text, nullable=True))
        batch.add_column(sa.Column("device", Text, nullable=True))
        batch.add_column(sa.Column("dtype", Text, nullable=True))
    connection = op.get_bind()
    _note_programs(connection)
    rename_takes(connection, current_models(models_of_projects(connection), ModelIdentities()))


def _note_programs(connection: sa.Connection) -> None:
    """Version 0.1 told its own version as part of the model's name."""
    take = sa.table(
        "take", *(sa.column(name) for name in ("project", "id", "program")), sa.column("inputs", sa.JSON())
    )
    for row in connection.execute(sa.select(take.c.project, take.c.id, take.c.inputs)).all():
        found = _PROGRAM.search(row.inputs["model"])
        if found is not None:
            connection.execute(
                sa.update(take)
                .where(take.c.project == row.project, take.c.id == row.id)
                .values(program=f"moc-studio {found[1]}")
            )
