"""Tables of users and of what lets them in. Passwords and tokens are kept as hashes only."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, PrimaryKeyConstraint, Table, UniqueConstraint

from trading_core.auth.roles import Role
from trading_core.persistence.identity_records import LoginEnd
from trading_core.persistence.tables import metadata
from trading_core.persistence.types import OneOf, Text, Texts, UtcTime

# The keys are the folded forms. Folding is ours, because the databases' own differ: SQLite's lower() knows ASCII only, and
# PostgreSQL's depends on the locale.
users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("username", Text, nullable=False),
    Column("username_key", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("email_key", Text, nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("role", OneOf(Role), nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("last_login", UtcTime),
    UniqueConstraint("username_key"),
    UniqueConstraint("email_key"),
)

# No reference to `accounts`: somebody may be given an account before it is opened.
user_accounts = Table(
    "user_accounts",
    metadata,
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("account_id", Text, nullable=False),
    PrimaryKeyConstraint("user_id", "account_id"),
)

# No reference to `users`: names that nobody has are counted too, or the count would tell which names exist.
login_failures = Table(
    "login_failures",
    metadata,
    Column("subject", Text, primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_failed_at", UtcTime, nullable=False),
    Column("locked_until", UtcTime),
)

logins = Table(
    "logins",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("ended_for", OneOf(LoginEnd)),
    Index(None, "user_id", "expires_at"),
)

# Used tokens stay as long as their login: only so is a second use seen.
refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("login_id", Text, ForeignKey("logins.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("issued_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("used_at", UtcTime),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("scopes", Texts, nullable=False),
    Column("accounts", Texts, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("last_used_at", UtcTime),
    Column("revoked_at", UtcTime),
    Index(None, "user_id", "created_at"),
)
