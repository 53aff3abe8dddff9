"""Footage: long videos that are cut into shots, and edits of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.create_table(
        "footage",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=True),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("style", sa.String(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=True),
        sa.Column("rate", sa.String(), nullable=True),
        sa.Column("width", sa.Integer(), nullable=True),
        sa.Column("height", sa.Integer(), nullable=True),
        sa.Column("shots", sa.JSON(), nullable=True),
        sa.Column("given", sa.JSON(), nullable=True),
        sa.Column("notes", sa.JSON(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("changed", sa.Double(), nullable=False),
        sa.Column("read", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_footage")),
    )
    op.create_table(
        "footage_edit",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("footage", sa.String(), nullable=False),
        sa.Column("words", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
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
