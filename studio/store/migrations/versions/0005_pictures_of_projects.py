"""Pictures of projects, with which shots may start."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from studio.store.column_types import Text

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "picture",
        sa.Column("project", Text, nullable=False),
        sa.Column("digest", Text, nullable=False),
        sa.Column("added", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["digest"], ["artifact.digest"], name=op.f("fk_picture_digest")),
        sa.ForeignKeyConstraint(
            ["project"], ["project.id"], name=op.f("fk_picture_project"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("project", "digest", name=op.f("pk_picture")),
    )
    op.create_index(op.f("ix_picture_digest"), "picture", ["digest"])
