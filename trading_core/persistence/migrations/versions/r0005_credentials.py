"""Venue keys, encrypted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from trading_core.persistence.types import Text, UtcTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "venue_credentials",
        sa.Column("venue", Text(), nullable=False),
        sa.Column("label", Text(), nullable=False),
        sa.Column("key_id", Text(), nullable=False),
        sa.Column("nonce", sa.LargeBinary(), nullable=False),
        sa.Column("ciphertext", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("sealed_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("venue", "label", name="pk_venue_credentials"),
    )


def downgrade() -> None:
    op.drop_table("venue_credentials")
