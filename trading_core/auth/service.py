"""Users, logins and API keys put together over one database."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from trading_core.auth.api_keys import ApiKeys
from trading_core.auth.lockout import LockoutSettings, PasswordGuard
from trading_core.auth.logins import Logins, LoginSettings
from trading_core.auth.opaque import TokenBytes
from trading_core.auth.passwords import HashCost, PasswordHasher
from trading_core.auth.tokens import AccessTokens, KeyRing, TokenSettings
from trading_core.auth.users import Users
from trading_core.domain.clock import Clock
from trading_core.persistence.session import Database


@dataclass(frozen=True, slots=True)
class AuthSettings:
    """Everything that can be chosen. The defaults are what the cited standards ask for."""

    tokens: TokenSettings = field(default_factory=TokenSettings)
    logins: LoginSettings = field(default_factory=LoginSettings)
    lockout: LockoutSettings = field(default_factory=LockoutSettings)
    hash_cost: HashCost = field(default_factory=HashCost)


@dataclass(frozen=True, slots=True)
class Auth:
    """Who may come in, and who decides it."""

    users: Users
    logins: Logins
    api_keys: ApiKeys

    @classmethod
    def over(
        cls,
        database: Database,
        clock: Clock,
        keys: KeyRing,
        settings: AuthSettings | None = None,
        token_bytes: TokenBytes = secrets.token_bytes,
    ) -> Auth:
        """Built once, when the desk starts: making the hash for unknown users takes as long as any other.

        Args:
            token_bytes: where every salt, id and token comes from.
        """
        settings = settings or AuthSettings()
        users, guard = _users(database, clock, settings, token_bytes)
        return cls(
            users=users,
            logins=Logins(database, clock, guard, AccessTokens(keys, settings.tokens), settings.logins, token_bytes),
            api_keys=ApiKeys(database, clock, token_bytes),
        )


def users_over(
    database: Database, clock: Clock, settings: AuthSettings | None = None, token_bytes: TokenBytes = secrets.token_bytes
) -> Users:
    """The users alone, where nobody logs in and no key to sign tokens with is at hand."""
    return _users(database, clock, settings or AuthSettings(), token_bytes)[0]


def _users(database: Database, clock: Clock, settings: AuthSettings, token_bytes: TokenBytes) -> tuple[Users, PasswordGuard]:
    hasher = PasswordHasher(settings.hash_cost, token_bytes)
    guard = PasswordGuard(database, clock, hasher, settings.lockout)
    return Users(database, clock, hasher, guard, token_bytes), guard
