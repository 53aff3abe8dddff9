"""What the model of a take was called."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from studio.store.column_types import Text

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    with op.batch_alter_table("take", schema=None) as batch:
        batch.add_column(sa.Column("model_name", Text, nullable=True))
