"""Tables of the desk's doors: who asked for a run, what it told, what was said, and what is planned.

Rows are mapped to the records in `desk_records`.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, PrimaryKeyConstraint, Table, UniqueConstraint

from trading_core.persistence.desk_records import Author, Misfire, Overlap, PauseKind, ProposalState, Trigger
from trading_core.persistence.tables import Serial, metadata
from trading_core.persistence.types import Exact, JsonText, OneOf, Text, Texts, UtcTime

# When the desk runs by itself. Rows stay when a schedule is deleted: its runs refer to it.
schedules = Table(
    "schedules",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("symbols", Texts, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("cron", Text),
    Column("every_seconds", Integer),
    Column("timezone", Text, nullable=False),
    Column("misfire", OneOf(Misfire), nullable=False),
    Column("overlap", OneOf(Overlap), nullable=False),
    Column("budget_tokens", BigInteger),
    Column("budget_cost", Exact),
    Column("budget_orders", Integer),
    Column("last_tick", UtcTime),
    Column("version", Integer, nullable=False),
    Column("deleted_at", UtcTime),
)

conversations = Table(
    "conversations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("owner", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("updated_at", UtcTime, nullable=False),
    Column("archived_at", UtcTime),
    Index(None, "owner", "updated_at", "id"),
)

# Why a run is there. Runs of the command line's own loop have no row here.
run_requests = Table(
    "run_requests",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
    Column("account_id", Text, nullable=False),
    Column("requested_by", Text, nullable=False),
    Column("trigger", OneOf(Trigger), nullable=False),
    Column("payload", JsonText, nullable=False),
    Column("requested_at", UtcTime, nullable=False),
    Column("schedule_id", Text, ForeignKey("schedules.id")),
    Column("conversation_id", Text, ForeignKey("conversations.id")),
    Column("claimed_by", Text),
    Column("claimed_until", UtcTime),
    Column("cancel_requested_by", Text),
    Index(None, "schedule_id", "requested_at"),
    Index(None, "conversation_id", "requested_at"),
)

# What happened, step by step. `run_id` is NULL between runs, where nothing counts a sequence. SQLite gives out no position twice,
# not even that of a row that was removed: who has read up to it would miss the next.
run_events = Table(
    "run_events",
    metadata,
    Column("position", Serial, primary_key=True, autoincrement=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("run_id", Text),
    Column("sequence", Integer, nullable=False),
    Column("kind", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("data", JsonText, nullable=False),
    UniqueConstraint("run_id", "sequence"),
    Index(None, "account_id", "position"),
    sqlite_autoincrement=True,
)

# No reference to `runs`: the question is written in the transaction that queues its run, whichever of the two comes first.
messages = Table(
    "messages",
    metadata,
    Column("conversation_id", Text, ForeignKey("conversations.id"), nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("run_id", Text, nullable=False, index=True),
    Column("author", OneOf(Author), nullable=False),
    Column("agent", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("data", JsonText, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    PrimaryKeyConstraint("conversation_id", "sequence"),
    UniqueConstraint("conversation_id", "run_id", "author", "agent"),
)

# No reference to `runs`, as above.
proposals = Table(
    "proposals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("owner", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("ticket", JsonText, nullable=False),
    Column("content_hash", Text, nullable=False),
    Column("preview", JsonText, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("conversation_id", Text, ForeignKey("conversations.id")),
    Column("state", OneOf(ProposalState), nullable=False),
    Column("decided_at", UtcTime),
    Column("order_run_id", Text),
    Index(None, "owner", "created_at", "id"),
    Index(None, "conversation_id", "created_at"),
    Index(None, "state", "expires_at"),
)

pauses = Table(
    "pauses",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("kind", OneOf(PauseKind), nullable=False),
    Column("subject", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    PrimaryKeyConstraint("account_id", "kind", "subject"),
)

agent_settings = Table(
    "agent_settings",
    metadata,
    Column("account_id", Text, ForeignKey("accounts.id"), nullable=False),
    Column("agent", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("model", Text),
    Column("budget_tokens", BigInteger),
    Column("budget_cost", Exact),
    Column("budget_orders", Integer),
    PrimaryKeyConstraint("account_id", "agent"),
)

# No reference to `users`: a key belongs to whoever called, under the principal's name.
kept_answers = Table(
    "kept_answers",
    metadata,
    Column("principal", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("request_hash", Text, nullable=False),
    Column("created_at", UtcTime, nullable=False, index=True),
    Column("status", Integer),
    Column("body", Text, nullable=False),
    PrimaryKeyConstraint("principal", "key"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
)
