"""Who the desk knows. Fields are columns of the tables in `identity_tables`.

No record shows a password hash or the digest of a token: what is printed, logged or sent out cannot hold one by accident.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from trading_core.auth.permissions import Action
from trading_core.auth.roles import Role


class LoginEnd(StrEnum):
    """Why a login ended before its time."""

    LOGOUT = "logout"
    REUSE = "reuse"  # a refresh token came twice: one of the two holders stole it
    PASSWORD = "password"  # noqa: S105 - a reason: the password was changed
    DEACTIVATED = "deactivated"
    REVOKED = "revoked"  # by somebody who manages users


@dataclass(frozen=True, slots=True)
class User:
    """A person or a machine with an account of its own. `accounts` are those it may act on."""

    id: str
    username: str
    email: str
    role: Role
    is_active: bool
    created_at: datetime
    last_login: datetime | None = None
    accounts: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user, and the hash of the password."""

    user: User
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class LoginFailures:
    """Failed logins in a row of one subject: a user, or one of the buckets of names that nobody has."""

    subject: str
    failures: int
    last_failed_at: datetime
    locked_until: datetime | None = None

    def is_locked(self, now: datetime) -> bool:
        return self.locked_until is not None and now < self.locked_until


@dataclass(frozen=True, slots=True)
class Login:
    """One sign-in, and the family of refresh tokens that followed from it."""

    id: str
    user_id: str
    created_at: datetime
    expires_at: datetime
    ended_at: datetime | None = None
    ended_for: LoginEnd | None = None

    def is_open(self, now: datetime) -> bool:
        return self.ended_at is None and now < self.expires_at


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """One refresh token, good for one use."""

    digest: str = field(repr=False)
    login_id: str
    issued_at: datetime
    expires_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A machine's way in: never more than its user may do, and then only `scopes` on `accounts`."""

    id: str
    user_id: str
    name: str
    scopes: frozenset[Action]
    accounts: frozenset[str]
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None

    def is_good(self, now: datetime) -> bool:
        return self.revoked_at is None and now < self.expires_at
