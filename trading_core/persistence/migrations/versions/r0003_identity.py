"""Users, logins, refresh tokens and API keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from trading_core.persistence.types import Text, UtcTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "users",
        sa.Column("id", Text(), nullable=False),
        sa.Column("username", Text(), nullable=False),
        sa.Column("username_key", Text(), nullable=False),
        sa.Column("email", Text(), nullable=False),
        sa.Column("email_key", Text(), nullable=False),
        sa.Column("password_hash", Text(), nullable=False),
        sa.Column("role", Text(), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("last_login", UtcTime()),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("username_key", name="uq_users_username_key"),
        sa.UniqueConstraint("email_key", name="uq_users_email_key"),
    )
    op.create_table(
        "user_accounts",
        sa.Column("user_id", Text(), nullable=False),
        sa.Column("account_id", Text(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_user_accounts_user_id"),
        sa.PrimaryKeyConstraint("user_id", "account_id", name="pk_user_accounts"),
    )
    op.create_table(
        "login_failures",
        sa.Column("subject", Text(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("last_failed_at", UtcTime(), nullable=False),
        sa.Column("locked_until", UtcTime()),
        sa.PrimaryKeyConstraint("subject", name="pk_login_failures"),
    )
    op.create_table(
        "logins",
        sa.Column("id", Text(), nullable=False),
        sa.Column("user_id", Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("ended_at", UtcTime()),
        sa.Column("ended_for", Text()),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_logins_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_logins"),
    )
    op.create_index("ix_logins_user_id_expires_at", "logins", ["user_id", "expires_at"])
    op.create_table(
        "refresh_tokens",
        sa.Column("digest", Text(), nullable=False),
        sa.Column("login_id", Text(), nullable=False),
        sa.Column("issued_at", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("used_at", UtcTime()),
        sa.ForeignKeyConstraint(["login_id"], ["logins.id"], name="fk_refresh_tokens_login_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("digest", name="pk_refresh_tokens"),
    )
    op.create_index("ix_refresh_tokens_login_id", "refresh_tokens", ["login_id"])
    op.create_table(
        "api_keys",
        sa.Column("id", Text(), nullable=False),
        sa.Column("user_id", Text(), nullable=False),
        sa.Column("name", Text(), nullable=False),
        sa.Column("digest", Text(), nullable=False),
        sa.Column("scopes", Text(), nullable=False),
        sa.Column("accounts", Text(), nullable=False),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("expires_at", UtcTime(), nullable=False),
        sa.Column("last_used_at", UtcTime()),
        sa.Column("revoked_at", UtcTime()),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_api_keys_user_id"),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
    )
    op.create_index("ix_api_keys_user_id_created_at", "api_keys", ["user_id", "created_at"])


def downgrade() -> None:
    for table in ("api_keys", "refresh_tokens", "logins", "login_failures", "user_accounts", "users"):
        op.drop_table(table)
