"""The ledger's first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from trading_core.persistence.types import Exact, Text, UtcTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", Text(), nullable=False),
        sa.Column("venue", Text(), nullable=False),
        sa.Column("currency", Text(), nullable=False),
        sa.Column("deposit", Exact(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
    )
    op.create_table(
        "answers",
        sa.Column("key", Text(), nullable=False),
        sa.Column("agent", Text(), nullable=False),
        sa.Column("model", Text(), nullable=False),
        sa.Column("outcome", Text(), nullable=False),
        sa.Column("answer", Text()),
        sa.Column("usage", Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_answers"),
    )
    op.create_table(
        "sessions",
        sa.Column("id", Text(), nullable=False),
        sa.Column("config", Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_table(
        "snapshots",
        sa.Column("hash", Text(), nullable=False),
        sa.Column("as_of", UtcTime(), nullable=False),
        sa.Column("content", Text(), nullable=False),
        sa.PrimaryKeyConstraint("hash", name="pk_snapshots"),
    )
    op.create_table(
        "account_risk",
        sa.Column("account_id", Text(), nullable=False),
        sa.Column("content", Text(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_account_risk_account_id"),
        sa.PrimaryKeyConstraint("account_id", name="pk_account_risk"),
    )
    op.create_table(
        "balances",
        sa.Column("account_id", Text(), nullable=False),
        sa.Column("asset", Text(), nullable=False),
        sa.Column("amount", Exact(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_balances_account_id"),
        sa.PrimaryKeyConstraint("account_id", "asset", name="pk_balances"),
    )
    op.create_table(
        "fees",
        sa.Column("account_id", Text(), nullable=False),
        sa.Column("asset", Text(), nullable=False),
        sa.Column("amount", Exact(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_fees_account_id"),
        sa.PrimaryKeyConstraint("account_id", "asset", name="pk_fees"),
    )
    op.create_table(
        "positions",
        sa.Column("account_id", Text(), nullable=False),
        sa.Column("symbol", Text(), nullable=False),
        sa.Column("quantity", Exact(), nullable=False),
        sa.Column("cost", Exact(), nullable=False),
        sa.Column("realised", Exact(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_positions_account_id"),
        sa.PrimaryKeyConstraint("account_id", "symbol", name="pk_positions"),
    )
    op.create_table(
        "risk_state_changes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("account_id", Text(), nullable=False),
        sa.Column("from_state", Text(), nullable=False),
        sa.Column("to_state", Text(), nullable=False),
        sa.Column("actor", Text(), nullable=False),
        sa.Column("reason", Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_risk_state_changes_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_risk_state_changes"),
    )
    op.create_index("ix_risk_state_changes_account_id", "risk_state_changes", ["account_id"])
    op.create_table(
        "runs",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("id", Text(), nullable=False),
        sa.Column("session_id", Text()),
        sa.Column("account_id", Text(), nullable=False),
        sa.Column("kind", Text(), nullable=False),
        sa.Column("as_of", UtcTime(), nullable=False),
        sa.Column("state", Text(), nullable=False),
        sa.Column("snapshot_hash", Text()),
        sa.Column("started_at", UtcTime(), nullable=False),
        sa.Column("ended_at", UtcTime()),
        sa.Column("error", Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_runs_account_id"),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_runs_session_id"),
        sa.ForeignKeyConstraint(["snapshot_hash"], ["snapshots.hash"], name="fk_runs_snapshot_hash"),
        sa.PrimaryKeyConstraint("sequence", name="pk_runs"),
        sa.UniqueConstraint("id", name="uq_runs_id"),
    )
    op.create_index("ix_runs_account_id_state", "runs", ["account_id", "state"])
    op.create_index("ix_runs_session_id_sequence", "runs", ["session_id", "sequence"])
    op.create_index("ix_runs_session_id_state", "runs", ["session_id", "state"])
    op.create_table(
        "decisions",
        sa.Column("run_id", Text(), nullable=False),
        sa.Column("agent", Text(), nullable=False),
        sa.Column("subject", Text(), nullable=False),
        sa.Column("outcome", Text(), nullable=False),
        sa.Column("reused", sa.Boolean(), nullable=False),
        sa.Column("answer", Text()),
        sa.Column("reason", Text(), nullable=False),
        sa.Column("grounded", sa.Boolean(), nullable=False),
        sa.Column("problems", Text(), nullable=False),
        sa.Column("evidence", Text(), nullable=False),
        sa.Column("model", Text(), nullable=False),
        sa.Column("prompt_hash", Text(), nullable=False),
        sa.Column("input_hash", Text(), nullable=False),
        sa.Column("model_calls", sa.Integer(), nullable=False),
        sa.Column("repairs", sa.Integer(), nullable=False),
        sa.Column("input_tokens", sa.Integer(), nullable=False),
        sa.Column("output_tokens", sa.Integer(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_decisions_run_id"),
        sa.PrimaryKeyConstraint("run_id", "agent", "subject", name="pk_decisions"),
    )
    op.create_index("ix_decisions_input_hash", "decisions", ["input_hash"])
    op.create_table(
        "evidence",
        sa.Column("run_id", Text(), nullable=False),
        sa.Column("id", Text(), nullable=False),
        sa.Column("agent", Text(), nullable=False),
        sa.Column("subject", Text(), nullable=False),
        sa.Column("tool", Text(), nullable=False),
        sa.Column("arguments", Text(), nullable=False),
        sa.Column("result", Text()),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_evidence_run_id"),
        sa.PrimaryKeyConstraint("run_id", "id", name="pk_evidence"),
    )
    op.create_table(
        "intents",
        sa.Column("intent_id", Text(), nullable=False),
        sa.Column("run_id", Text(), nullable=False),
        sa.Column("account_id", Text(), nullable=False),
        sa.Column("proposer", Text(), nullable=False),
        sa.Column("purpose", Text(), nullable=False),
        sa.Column("symbol", Text(), nullable=False),
        sa.Column("side", Text(), nullable=False),
        sa.Column("quantity", Exact(), nullable=False),
        sa.Column("type", Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("limit_price", Exact()),
        sa.Column("stop_price", Exact()),
        sa.Column("worst_price", Exact()),
        sa.Column("time_in_force", Text(), nullable=False),
        sa.Column("reason", Text(), nullable=False),
        sa.Column("evidence", Text(), nullable=False),
        sa.Column("content_hash", Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_intents_account_id"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_intents_run_id"),
        sa.PrimaryKeyConstraint("intent_id", name="pk_intents"),
    )
    op.create_index("ix_intents_run_id", "intents", ["run_id"])
    op.create_table(
        "portfolio_snapshots",
        sa.Column("account_id", Text(), nullable=False),
        sa.Column("run_id", Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("equity", Exact(), nullable=False),
        sa.Column("cash", Exact(), nullable=False),
        sa.Column("content", Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_portfolio_snapshots_account_id"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_portfolio_snapshots_run_id"),
        sa.PrimaryKeyConstraint("account_id", "run_id", name="pk_portfolio_snapshots"),
    )
    op.create_index("ix_portfolio_snapshots_account_id_at", "portfolio_snapshots", ["account_id", "at"])
    op.create_index("ix_portfolio_snapshots_run_id", "portfolio_snapshots", ["run_id"])
    op.create_table(
        "approvals",
        sa.Column("intent_id", Text(), nullable=False),
        sa.Column("content_hash", Text(), nullable=False),
        sa.Column("price", Exact(), nullable=False),
        sa.Column("requested_at", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("state", Text(), nullable=False),
        sa.Column("decided_by", Text()),
        sa.Column("decided_at", UtcTime()),
        sa.Column("reason", Text(), nullable=False),
        sa.ForeignKeyConstraint(["intent_id"], ["intents.intent_id"], name="fk_approvals_intent_id"),
        sa.PrimaryKeyConstraint("intent_id", name="pk_approvals"),
    )
    op.create_index("ix_approvals_state", "approvals", ["state"])
    op.create_table(
        "orders",
        sa.Column("client_order_id", Text(), nullable=False),
        sa.Column("symbol", Text(), nullable=False),
        sa.Column("side", Text(), nullable=False),
        sa.Column("type", Text(), nullable=False),
        sa.Column("quantity", Exact(), nullable=False),
        sa.Column("limit_price", Exact()),
        sa.Column("stop_price", Exact()),
        sa.Column("time_in_force", Text(), nullable=False),
        sa.Column("reduce_only", sa.Boolean(), nullable=False),
        sa.Column("account_id", Text(), nullable=False),
        sa.Column("intent_id", Text(), nullable=False),
        sa.Column("run_id", Text(), nullable=False),
        sa.Column("purpose", Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("state", Text(), nullable=False),
        sa.Column("filled", Exact(), nullable=False),
        sa.Column("filled_notional", Exact(), nullable=False),
        sa.Column("venue_order_id", Text()),
        sa.Column("arrival_price", Exact()),
        sa.Column("reason", Text(), nullable=False),
        sa.Column("updated_at", UtcTime()),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_orders_account_id"),
        sa.ForeignKeyConstraint(["intent_id"], ["intents.intent_id"], name="fk_orders_intent_id"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_orders_run_id"),
        sa.PrimaryKeyConstraint("client_order_id", name="pk_orders"),
    )
    op.create_index("ix_orders_account_id_created_at", "orders", ["account_id", "created_at"])
    op.create_index("ix_orders_account_id_symbol_created_at", "orders", ["account_id", "symbol", "created_at"])
    op.create_index("ix_orders_account_id_state", "orders", ["account_id", "state"])
    op.create_index("ix_orders_intent_id", "orders", ["intent_id"])
    op.create_index("ix_orders_run_id", "orders", ["run_id"])
    op.create_table(
        "risk_decisions",
        sa.Column("intent_id", Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("verdict", Text(), nullable=False),
        sa.Column("checks", Text(), nullable=False),
        sa.Column("decided_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["intent_id"], ["intents.intent_id"], name="fk_risk_decisions_intent_id"),
        sa.PrimaryKeyConstraint("intent_id", "sequence", name="pk_risk_decisions"),
    )
    op.create_table(
        "fills",
        sa.Column("sequence", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("account_id", Text(), nullable=False),
        sa.Column("trade_id", Text(), nullable=False),
        sa.Column("client_order_id", Text(), nullable=False),
        sa.Column("symbol", Text(), nullable=False),
        sa.Column("side", Text(), nullable=False),
        sa.Column("quantity", Exact(), nullable=False),
        sa.Column("price", Exact(), nullable=False),
        sa.Column("fee", Exact(), nullable=False),
        sa.Column("fee_asset", Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("is_maker", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_fills_account_id"),
        sa.ForeignKeyConstraint(["client_order_id"], ["orders.client_order_id"], name="fk_fills_client_order_id"),
        sa.PrimaryKeyConstraint("sequence", name="pk_fills"),
        sa.UniqueConstraint("account_id", "trade_id", name="uq_fills_account_id_trade_id"),
    )
    op.create_index("ix_fills_account_id_at", "fills", ["account_id", "at"])
    op.create_index("ix_fills_account_id_sequence", "fills", ["account_id", "sequence"])
    op.create_index("ix_fills_client_order_id", "fills", ["client_order_id"])
    op.create_table(
        "order_events",
        sa.Column("client_order_id", Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("event", Text(), nullable=False),
        sa.Column("state", Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("detail", Text(), nullable=False),
        sa.ForeignKeyConstraint(["client_order_id"], ["orders.client_order_id"], name="fk_order_events_client_order_id"),
        sa.PrimaryKeyConstraint("client_order_id", "sequence", name="pk_order_events"),
    )


def downgrade() -> None:
    for table in (
        "order_events",
        "fills",
        "risk_decisions",
        "orders",
        "approvals",
        "portfolio_snapshots",
        "intents",
        "evidence",
        "decisions",
        "runs",
        "risk_state_changes",
        "positions",
        "fees",
        "balances",
        "account_risk",
        "snapshots",
        "sessions",
        "answers",
        "accounts",
    ):
        op.drop_table(table)
