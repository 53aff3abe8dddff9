"""Tokens of transactions, by which a commit is checked whose answer was lost."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from studio.store.column_types import Text

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_table(
        "commit_token",
        sa.Column("token", Text, nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("revoked", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("token", name=op.f("pk_commit_token")),
    )
