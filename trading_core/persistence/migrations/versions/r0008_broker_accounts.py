"""Accounts at venues, and what comes in and goes out of an account other than by trading."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from trading_core.persistence.types import Exact, Text, UtcTime

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "broker_accounts",
        sa.Column("id", Text(), nullable=False),
        sa.Column("venue", Text(), nullable=False),
        sa.Column("production", sa.Boolean(), nullable=False),
        sa.Column("url", Text()),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("created_by", Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_broker_accounts"),
    )
    op.create_table(
        "transfers",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("account_id", Text(), nullable=False),
        sa.Column("asset", Text(), nullable=False),
        sa.Column("amount", Exact(), nullable=False),
        sa.Column("value", Exact(), nullable=False),
        sa.Column("symbol", Text()),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("fills_before", sa.Integer(), nullable=False),
        sa.Column("by", Text(), nullable=False),
        sa.Column("reason", Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_transfers_account_id"),
        sa.PrimaryKeyConstraint("sequence", name="pk_transfers"),
    )
    op.create_index("ix_transfers_account_id", "transfers", ["account_id"])
    with op.batch_alter_table("accounts") as accounts:
        accounts.add_column(sa.Column("transferred", Exact(), nullable=False, server_default="0"))


def downgrade() -> None:
    with op.batch_alter_table("accounts") as accounts:
        accounts.drop_column("transferred")
    op.drop_index("ix_transfers_account_id", "transfers")
    op.drop_table("transfers")
    op.drop_table("broker_accounts")
