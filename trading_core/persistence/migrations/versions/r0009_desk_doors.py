"""What the desk's doors keep: requests for runs, their events, conversations, proposals, schedules, pauses and leases."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from trading_core.persistence.types import Exact, Text, UtcTime

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

# Code before this step knows neither these states nor this kind. What was not begun will not be: it ends here.
_KNOWN_STATES = """
    UPDATE runs SET ended_at = coalesce(ended_at, started_at), error = 'The run was ' || state, state = 'failed'
    WHERE state IN ('queued', 'cancelled')
"""
_KNOWN_KINDS = "UPDATE runs SET kind = 'conversation' WHERE kind = 'order'"


def upgrade() -> None:
    op.create_table(
        "kept_answers",
        sa.Column("principal", Text(), nullable=False),
        sa.Column("key", Text(), nullable=False),
        sa.Column("request_hash", Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("status", sa.Integer()),
        sa.Column("body", Text(), nullable=False),
        sa.PrimaryKeyConstraint("principal", "key", name="pk_kept_answers"),
    )
    op.create_index("ix_kept_answers_created_at", "kept_answers", ["created_at"])
    op.create_table(
        "leases",
        sa.Column("name", Text(), nullable=False),
        sa.Column("holder", Text(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases"),
    )
    op.create_table(
        "agent_settings",
        sa.Column("account_id", Text(), nullable=False),
        sa.Column("agent", Text(), nullable=False),
        sa.Column("by", Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("model", Text()),
        sa.Column("budget_tokens", sa.BigInteger()),
        sa.Column("budget_cost", Exact()),
        sa.Column("budget_orders", sa.Integer()),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_agent_settings_account_id"),
        sa.PrimaryKeyConstraint("account_id", "agent", name="pk_agent_settings"),
    )
    op.create_table(
        "conversations",
        sa.Column("id", Text(), nullable=False),
        sa.Column("account_id", Text(), nullable=False),
        sa.Column("owner", Text(), nullable=False),
        sa.Column("title", Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.Column("archived_at", UtcTime()),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_conversations_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_conversations"),
    )
    op.create_index("ix_conversations_account_id", "conversations", ["account_id"])
    op.create_index("ix_conversations_owner_updated_at_id", "conversations", ["owner", "updated_at", "id"])
    op.create_table(
        "pauses",
        sa.Column("account_id", Text(), nullable=False),
        sa.Column("kind", Text(), nullable=False),
        sa.Column("subject", Text(), nullable=False),
        sa.Column("by", Text(), nullable=False),
        sa.Column("reason", Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_pauses_account_id"),
        sa.PrimaryKeyConstraint("account_id", "kind", "subject", name="pk_pauses"),
    )
    op.create_table(
        "run_events",
        sa.Column("position", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("account_id", Text(), nullable=False),
        sa.Column("run_id", Text()),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", Text(), nullable=False),
        sa.Column("at", UtcTime(), nullable=False),
        sa.Column("data", Text(), nullable=False),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_run_events_account_id"),
        sa.PrimaryKeyConstraint("position", name="pk_run_events"),
        sa.UniqueConstraint("run_id", "sequence", name="uq_run_events_run_id_sequence"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_run_events_account_id_position", "run_events", ["account_id", "position"])
    op.create_table(
        "schedules",
        sa.Column("id", Text(), nullable=False),
        sa.Column("account_id", Text(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("owner", Text(), nullable=False),
        sa.Column("symbols", Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("updated_at", UtcTime(), nullable=False),
        sa.Column("cron", Text()),
        sa.Column("every_seconds", sa.Integer()),
        sa.Column("timezone", Text(), nullable=False),
        sa.Column("misfire", Text(), nullable=False),
        sa.Column("overlap", Text(), nullable=False),
        sa.Column("budget_tokens", sa.BigInteger()),
        sa.Column("budget_cost", Exact()),
        sa.Column("budget_orders", sa.Integer()),
        sa.Column("last_tick", UtcTime()),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("deleted_at", UtcTime()),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_schedules_account_id"),
        sa.PrimaryKeyConstraint("id", name="pk_schedules"),
    )
    op.create_index("ix_schedules_account_id", "schedules", ["account_id"])
    op.create_table(
        "messages",
        sa.Column("conversation_id", Text(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("run_id", Text(), nullable=False),
        sa.Column("author", Text(), nullable=False),
        sa.Column("agent", Text(), nullable=False),
        sa.Column("content", Text(), nullable=False),
        sa.Column("data", Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversations.id"], name="fk_messages_conversation_id"),
        sa.PrimaryKeyConstraint("conversation_id", "sequence", name="pk_messages"),
        sa.UniqueConstraint(
            "conversation_id", "run_id", "author", "agent", name="uq_messages_conversation_id_run_id_author_agent"
        ),
    )
    op.create_index("ix_messages_run_id", "messages", ["run_id"])
    op.create_table(
        "proposals",
        sa.Column("id", Text(), nullable=False),
        sa.Column("account_id", Text(), nullable=False),
        sa.Column("owner", Text(), nullable=False),
        sa.Column("run_id", Text(), nullable=False),
        sa.Column("ticket", Text(), nullable=False),
        sa.Column("content_hash", Text(), nullable=False),
        sa.Column("preview", Text(), nullable=False),
        sa.Column("reason", Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("conversation_id", Text()),
        sa.Column("state", Text(), nullable=False),
        sa.Column("decided_at", UtcTime()),
        sa.Column("order_run_id", Text()),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_proposals_account_id"),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversations.id"], name="fk_proposals_conversation_id"),
        sa.PrimaryKeyConstraint("id", name="pk_proposals"),
    )
    op.create_index("ix_proposals_account_id", "proposals", ["account_id"])
    op.create_index("ix_proposals_conversation_id_created_at", "proposals", ["conversation_id", "created_at"])
    op.create_index("ix_proposals_owner_created_at_id", "proposals", ["owner", "created_at", "id"])
    op.create_index("ix_proposals_state_expires_at", "proposals", ["state", "expires_at"])
    op.create_table(
        "run_requests",
        sa.Column("run_id", Text(), nullable=False),
        sa.Column("account_id", Text(), nullable=False),
        sa.Column("requested_by", Text(), nullable=False),
        sa.Column("trigger", Text(), nullable=False),
        sa.Column("payload", Text(), nullable=False),
        sa.Column("requested_at", UtcTime(), nullable=False),
        sa.Column("schedule_id", Text()),
        sa.Column("conversation_id", Text()),
        sa.Column("claimed_by", Text()),
        sa.Column("claimed_until", UtcTime()),
        sa.Column("cancel_requested_by", Text()),
        sa.ForeignKeyConstraint(["conversation_id"], ["conversations.id"], name="fk_run_requests_conversation_id"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_run_requests_run_id"),
        sa.ForeignKeyConstraint(["schedule_id"], ["schedules.id"], name="fk_run_requests_schedule_id"),
        sa.PrimaryKeyConstraint("run_id", name="pk_run_requests"),
    )
    op.create_index("ix_run_requests_conversation_id_requested_at", "run_requests", ["conversation_id", "requested_at"])
    op.create_index("ix_run_requests_schedule_id_requested_at", "run_requests", ["schedule_id", "requested_at"])
    op.create_index("ix_runs_account_id_started_at", "runs", ["account_id", "started_at"])
    op.create_index("ix_runs_session_id_number", "runs", ["session_id", "number"])


def downgrade() -> None:
    op.execute(_KNOWN_STATES)
    op.execute(_KNOWN_KINDS)
    op.drop_index("ix_runs_session_id_number", "runs")
    op.drop_index("ix_runs_account_id_started_at", "runs")
    op.drop_index("ix_run_requests_schedule_id_requested_at", "run_requests")
    op.drop_index("ix_run_requests_conversation_id_requested_at", "run_requests")
    op.drop_table("run_requests")
    op.drop_index("ix_proposals_state_expires_at", "proposals")
    op.drop_index("ix_proposals_owner_created_at_id", "proposals")
    op.drop_index("ix_proposals_conversation_id_created_at", "proposals")
    op.drop_index("ix_proposals_account_id", "proposals")
    op.drop_table("proposals")
    op.drop_index("ix_messages_run_id", "messages")
    op.drop_table("messages")
    op.drop_index("ix_schedules_account_id", "schedules")
    op.drop_table("schedules")
    op.drop_index("ix_run_events_account_id_position", "run_events")
    op.drop_table("run_events")
    op.drop_table("pauses")
    op.drop_index("ix_conversations_owner_updated_at_id", "conversations")
    op.drop_index("ix_conversations_account_id", "conversations")
    op.drop_table("conversations")
    op.drop_table("agent_settings")
    op.drop_table("leases")
    op.drop_index("ix_kept_answers_created_at", "kept_answers")
    op.drop_table("kept_answers")
