"""Jobs have a kind, an optional project and shot, a result that need not be a take, and a coded problem."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from studio.store.column_types import Text

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    connection = op.get_bind()
    sqlite = connection.dialect.name == "sqlite"
    last = sa.text("SELECT seq FROM sqlite_sequence WHERE name = 'job'")
    number = connection.execute(last).scalar() if sqlite else None
    with op.batch_alter_table("job", table_kwargs={"sqlite_autoincrement": True}) as batch:
        batch.drop_index("ix_job_state_place")
        batch.add_column(sa.Column("kind", Text, nullable=False, server_default="render"))
        batch.alter_column("project", existing_type=Text, nullable=True)
        batch.alter_column("shot", existing_type=Text, nullable=True)
        batch.alter_column("place", existing_type=sa.Double(), new_column_name="position")
        batch.alter_column("asked", existing_type=sa.JSON(), new_column_name="payload")
        batch.alter_column("take", existing_type=Text, new_column_name="result")
        batch.add_column(sa.Column("problem", sa.JSON(), nullable=True))
        batch.drop_column("claimed")
    op.create_index("ix_job_state_position", "job", ["state", "position"])
    if number is not None:  # the new table must not give ids again that cleared jobs had
        connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = 'job'"))
        connection.execute(
            sa.text("INSERT INTO sqlite_sequence (name, seq) VALUES ('job', :number)"), {"number": number}
        )
