"""Every table of the ledger. Rows are mapped to domain objects by the repositories."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)

from trading_core.domain.intents import ApprovalState, Verdict
from trading_core.domain.orders import OrderEvent, OrderState, OrderType, Purpose, Side, TimeInForce
from trading_core.persistence.records import Outcome, RunKind, RunState
from trading_core.persistence.types import Exact, JsonText, OneOf, Text, Texts, UtcTime

# Constraints are named, so that a migration can drop them on every database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# SQLite numbers rows on its own only under the exact type INTEGER.
Serial = BigInteger().with_variant(Integer(), "sqlite")

# `version` counts the transactions that wrote to the account or to what counts against it.
accounts = Table(
    "accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("venue", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("deposit", Exact, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("version", BigInteger, nullable=False, server_default="0"),
    Column("transferred", Exact, nullable=False, server_default="0"),
)

# What came in and went out other than by trading, in the order it was booked.
transfers = Table(
    "transfers",
    metadata,
    Column("sequence", Serial, primary_key=True, autoincrement=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("asset", Text, nullable=False),
    Column("amount", Exact, nullable=False),
    Column("value", Exact, nullable=False),
    Column("symbol", Text),
    Column("at", UtcTime, nullable=False),
    Column("fills_before", Integer, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

# Accounts at venues: where, and whether the money is real. `url` is another host that speaks the venue's API.
broker_accounts = Table(
    "broker_accounts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("venue", Text, nullable=False),
    Column("production", Boolean, nullable=False),
    Column("url", Text),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", Text, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("config", JsonText, nullable=False),
    Column("created_at", UtcTime, nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("hash", Text, primary_key=True),
    Column("as_of", UtcTime, nullable=False),
    Column("content", JsonText, nullable=False),
)

# `sequence` keeps the order in which runs were started: simulated clocks repeat and cannot tell it. `number` counts the
# cycles of a session that came before, from 0. `queue` writes a run before it is started: `started_at` and `as_of` are then when
# it was asked for.
runs = Table(
    "runs",
    metadata,
    Column("sequence", Serial, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),
    Column("session_id", Text, ForeignKey("sessions.id")),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("kind", OneOf(RunKind), nullable=False),
    Column("as_of", UtcTime, nullable=False),
    Column("state", OneOf(RunState), nullable=False),
    Column("snapshot_hash", Text, ForeignKey("snapshots.hash")),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("error", Text, nullable=False),
    Column("number", BigInteger, nullable=False, server_default="0"),
    UniqueConstraint("id"),
    Index(None, "account_id", "state"),
    Index(None, "account_id", "sequence"),
    Index(None, "account_id", "started_at"),
    Index(None, "session_id", "state"),
    Index(None, "session_id", "sequence"),
    Index(None, "session_id", "number"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), nullable=False),
    Column("agent", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("outcome", OneOf(Outcome), nullable=False),
    Column("reused", Boolean, nullable=False),
    Column("answer", JsonText),
    Column("reason", Text, nullable=False),
    Column("grounded", Boolean, nullable=False),
    Column("problems", Texts, nullable=False),
    Column("evidence", Texts, nullable=False),
    Column("model", Text, nullable=False),
    Column("prompt_hash", Text, nullable=False),
    Column("input_hash", Text, nullable=False, index=True),
    Column("model_calls", Integer, nullable=False),
    Column("repairs", Integer, nullable=False),
    Column("input_tokens", Integer, nullable=False),
    Column("output_tokens", Integer, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    PrimaryKeyConstraint("run_id", "agent", "subject"),
)

evidence = Table(
    "evidence",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), nullable=False),
    Column("id", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("arguments", JsonText, nullable=False),
    Column("result", JsonText),
    Column("created_at", UtcTime, nullable=False),
    PrimaryKeyConstraint("run_id", "id"),
)

answers = Table(
    "answers",
    metadata,
    Column("key", Text, primary_key=True),
    Column("agent", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("outcome", OneOf(Outcome), nullable=False),
    Column("answer", JsonText),
    Column("usage", JsonText, nullable=False),
    Column("created_at", UtcTime, nullable=False),
)

intents = Table(
    "intents",
    metadata,
    Column("intent_id", Text, primary_key=True),
    Column("run_id", Text, ForeignKey("runs.id"), nullable=False, index=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("proposer", Text, nullable=False),
    Column("purpose", OneOf(Purpose), nullable=False),
    Column("symbol", Text, nullable=False),
    Column("side", OneOf(Side), nullable=False),
    Column("quantity", Exact, nullable=False),
    Column("type", OneOf(OrderType), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("limit_price", Exact),
    Column("stop_price", Exact),
    Column("worst_price", Exact),
    Column("time_in_force", OneOf(TimeInForce), nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", Texts, nullable=False),
    Column("strategy", Text, nullable=False, server_default=""),
    Column("take_profit", Exact),
    Column("expires_at", UtcTime),
    Column("content_hash", Text, nullable=False),
)

risk_decisions = Table(
    "risk_decisions",
    metadata,
    Column("intent_id", Text, ForeignKey("intents.intent_id"), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("verdict", OneOf(Verdict), nullable=False),
    Column("checks", JsonText, nullable=False),
    Column("decided_at", UtcTime, nullable=False),
    PrimaryKeyConstraint("intent_id", "sequence"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("intent_id", Text, ForeignKey("intents.intent_id"), primary_key=True),
    Column("content_hash", Text, nullable=False),
    Column("price", Exact, nullable=False),
    Column("requested_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("state", OneOf(ApprovalState), nullable=False, index=True),
    Column("decided_by", Text),
    Column("decided_at", UtcTime),
    Column("reason", Text, nullable=False),
)

orders = Table(
    "orders",
    metadata,
    Column("client_order_id", Text, primary_key=True),
    Column("symbol", Text, nullable=False),
    Column("side", OneOf(Side), nullable=False),
    Column("type", OneOf(OrderType), nullable=False),
    Column("quantity", Exact, nullable=False),
    Column("limit_price", Exact),
    Column("stop_price", Exact),
    Column("time_in_force", OneOf(TimeInForce), nullable=False),
    Column("reduce_only", Boolean, nullable=False),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("intent_id", Text, ForeignKey("intents.intent_id"), nullable=False, index=True),
    Column("run_id", Text, ForeignKey("runs.id"), nullable=False, index=True),
    Column("purpose", OneOf(Purpose), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("state", OneOf(OrderState), nullable=False),
    Column("filled", Exact, nullable=False),
    Column("filled_notional", Exact, nullable=False),
    Column("venue_order_id", Text),
    Column("arrival_price", Exact),
    Column("reason", Text, nullable=False),
    Column("updated_at", UtcTime),
    Column("expires_at", UtcTime),
    Index(None, "account_id", "state"),
    Index(None, "account_id", "created_at"),
    Index(None, "account_id", "symbol", "created_at"),
)

order_events = Table(
    "order_events",
    metadata,
    Column("client_order_id", Text, ForeignKey("orders.client_order_id"), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("event", OneOf(OrderEvent), nullable=False),
    Column("state", OneOf(OrderState), nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("detail", Text, nullable=False),
    PrimaryKeyConstraint("client_order_id", "sequence"),
)

# `sequence` keeps the order of booking, in which positions are folded: fills of one instant would not tell it.
fills = Table(
    "fills",
    metadata,
    Column("sequence", Serial, primary_key=True, autoincrement=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("trade_id", Text, nullable=False),
    Column("client_order_id", Text, ForeignKey("orders.client_order_id"), nullable=False, index=True),
    Column("symbol", Text, nullable=False),
    Column("side", OneOf(Side), nullable=False),
    Column("quantity", Exact, nullable=False),
    Column("price", Exact, nullable=False),
    Column("fee", Exact, nullable=False),
    Column("fee_asset", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("is_maker", Boolean, nullable=False),
    UniqueConstraint("account_id", "trade_id"),
    Index(None, "account_id", "sequence"),
    Index(None, "account_id", "at"),
)

positions = Table(
    "positions",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("symbol", Text, nullable=False),
    Column("quantity", Exact, nullable=False),
    Column("cost", Exact, nullable=False),
    Column("realised", Exact, nullable=False),
    PrimaryKeyConstraint("account_id", "symbol"),
)

balances = Table(
    "balances",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("asset", Text, nullable=False),
    Column("amount", Exact, nullable=False),
    PrimaryKeyConstraint("account_id", "asset"),
)

fees = Table(
    "fees",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("asset", Text, nullable=False),
    Column("amount", Exact, nullable=False),
    PrimaryKeyConstraint("account_id", "asset"),
)

strategies = Table(
    "strategies",
    metadata,
    Column("name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("config", JsonText, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    PrimaryKeyConstraint("name", "version"),
)

account_risk = Table(
    "account_risk",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), primary_key=True),
    Column("content", JsonText, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
)

risk_state_changes = Table(
    "risk_state_changes",
    metadata,
    Column("id", Serial, primary_key=True, autoincrement=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("from_state", Text, nullable=False),
    Column("to_state", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
)

portfolio_snapshots = Table(
    "portfolio_snapshots",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("run_id", Text, ForeignKey("runs.id"), nullable=False, index=True),
    Column("at", UtcTime, nullable=False),
    Column("equity", Exact, nullable=False),
    Column("cash", Exact, nullable=False),
    Column("content", JsonText, nullable=False),
    PrimaryKeyConstraint("account_id", "run_id"),
    Index(None, "account_id", "at"),
)
