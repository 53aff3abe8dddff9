"""What in a take's picture drew most from each take of its context, and the share of its captions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    with op.batch_alter_table("take", schema=None) as batch:
        batch.add_column(sa.Column("caption_share", sa.Double(), nullable=True))
        batch.add_column(sa.Column("strongest", sa.JSON(), nullable=False, server_default="{}"))
