"""What each strategy was, version by version."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from trading_core.persistence.types import Text, UtcTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "strategies",
        sa.Column("name", Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("config", Text(), nullable=False),
        sa.Column("content_hash", Text(), nullable=False),
        sa.Column("created_by", Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name="pk_strategies"),
    )


def downgrade() -> None:
    op.drop_table("strategies")
