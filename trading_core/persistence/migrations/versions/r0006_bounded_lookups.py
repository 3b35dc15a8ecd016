"""Number the runs of a session, and find an account's last runs without reading all of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# Counted once here. From now on a run is numbered when it starts, by the one before it.
_NUMBERED = """
    UPDATE runs SET number = counted.number FROM (
        SELECT sequence, row_number() OVER (PARTITION BY session_id ORDER BY sequence) - 1 AS number
        FROM runs WHERE session_id IS NOT NULL
    ) AS counted WHERE counted.sequence = runs.sequence
"""


def upgrade() -> None:
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("number", sa.BigInteger(), nullable=False, server_default="0"))
    op.execute(_NUMBERED)
    op.create_index("ix_runs_account_id_sequence", "runs", ["account_id", "sequence"])


def downgrade() -> None:
    op.drop_index("ix_runs_account_id_sequence", "runs")
    with op.batch_alter_table("runs") as runs:
        runs.drop_column("number")
