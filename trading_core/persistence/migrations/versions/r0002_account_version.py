"""Count what is written to an account; strategies, profit targets and lifetimes of intents."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from trading_core.persistence.types import Exact, Text, UtcTime

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("accounts") as accounts:
        accounts.add_column(sa.Column("version", sa.BigInteger(), nullable=False, server_default="0"))
    with op.batch_alter_table("intents") as intents:
        intents.add_column(sa.Column("strategy", Text(), nullable=False, server_default=""))
        intents.add_column(sa.Column("take_profit", Exact()))
        intents.add_column(sa.Column("expires_at", UtcTime()))
    with op.batch_alter_table("orders") as orders:
        orders.add_column(sa.Column("expires_at", UtcTime()))


def downgrade() -> None:
    with op.batch_alter_table("orders") as orders:
        orders.drop_column("expires_at")
    with op.batch_alter_table("intents") as intents:
        intents.drop_column("expires_at")
        intents.drop_column("take_profit")
        intents.drop_column("strategy")
    with op.batch_alter_table("accounts") as accounts:
        accounts.drop_column("version")
