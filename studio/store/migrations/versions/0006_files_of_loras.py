"""The files of a take's LoRAs, as its shot named them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    with op.batch_alter_table("take", schema=None) as batch:
        batch.add_column(sa.Column("lora_files", sa.JSON(), nullable=False, server_default="[]"))
