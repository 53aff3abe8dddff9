"""Footage: long videos that are cut into shots, and edits of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from studio.store.column_types import Number, Text

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "footage",
        sa.Column("id", Text, nullable=False),
        sa.Column("name", Text, nullable=False),
        sa.Column("path", Text, nullable=True),
        sa.Column("title", Text, nullable=False),
        sa.Column("style", Text, nullable=False),
        sa.Column("frames", Number, nullable=True),
        sa.Column("rate", Text, nullable=True),
        sa.Column("width", Number, nullable=True),
        sa.Column("height", Number, nullable=True),
        sa.Column("shots", sa.JSON(), nullable=True),
        sa.Column("given", sa.JSON(), nullable=True),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("revision", Number, nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("changed", sa.Double(), nullable=False),
        sa.Column("read", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_footage")),
    )
    op.create_table(
        "footage_edit",
        sa.Column("number", Number, autoincrement=True, nullable=False),
        sa.Column("footage", Text, nullable=False),
        sa.Column("words", Text, nullable=False),
        sa.Column("position", Number, nullable=False),
        sa.Column("before", sa.JSON(), nullable=False),
        sa.Column("after", sa.JSON(), nullable=False),
        sa.Column("styles", sa.JSON(), nullable=False),
        sa.Column("undone", sa.Boolean(), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(
            ["footage"], ["footage.id"], name=op.f("fk_footage_edit_footage"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_footage_edit")),
    )
    op.create_index(op.f("ix_footage_edit_footage"), "footage_edit", ["footage"])
