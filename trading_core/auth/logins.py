"""Logging in, staying in, and getting out.

A login gives an access token for minutes and a refresh token for days. Each refresh token is good for one use and brings the
next; one that comes twice was stolen, and as nobody can tell by whom, the login ends for both holders (RFC 9700, section
4.14.2). An access token names its login, and each use of it asks the database for that login: whatever ended it counts at once.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import SecretStr

from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind
from trading_core.auth.identity import Identity, bad_token, by_login, user_name
from trading_core.auth.lockout import PasswordGuard
from trading_core.auth.login_lookup import LoginLookup
from trading_core.auth.opaque import TokenBytes, digest, random_id, random_text
from trading_core.auth.tokens import AccessTokens
from trading_core.domain.clock import Clock
from trading_core.persistence.identity_records import Login, LoginEnd, RefreshToken, User
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

REFRESH_PREFIX = "atr_"  # tells scanners for leaked secrets what they found


@dataclass(frozen=True, slots=True)
class LoginSettings:
    """How long a login lasts: `unused` without a refresh, `longest` in any case."""

    unused: timedelta = timedelta(days=7)
    longest: timedelta = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a client holds. Neither token can be shown by accident, and the desk keeps neither."""

    access: SecretStr
    access_expires_at: datetime
    refresh: SecretStr
    refresh_expires_at: datetime


class Logins:
    """Logins over the database."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        guard: PasswordGuard,
        access_tokens: AccessTokens,
        settings: LoginSettings,
        token_bytes: TokenBytes = secrets.token_bytes,
    ) -> None:
        self._database = database
        self._lookup = LoginLookup(database)
        self._clock = clock
        self._guard = guard
        self._access_tokens = access_tokens
        self._settings = settings
        self._token_bytes = token_bytes

    async def login(self, name: str, password: SecretStr) -> Tokens:
        """Let a user in by name or e-mail address.

        Raises:
            NotAuthenticated: with nothing that tells which part was wrong, or whether the user exists.
        """
        async with self._guard.proven(name, password) as (uow, user):
            now = self._clock.now()
            await uow.logins.forget(user.id, now)
            login = Login(random_id(self._token_bytes), user.id, now, now + self._settings.longest)
            await uow.logins.start(login)
            await uow.users.set_last_login(user.id, now)
            tokens = await self._tokens(uow, user, login, now)
            after = {"expires_at": login.expires_at}
            await uow.audit.append(AuditEntry(now, user_name(user), AuditAction.LOGIN, SubjectKind.USER, user.id, after=after))
            return tokens

    async def refresh(self, token: SecretStr) -> Tokens:
        """New tokens for a refresh token, which is used up.

        Raises:
            NotAuthenticated: unknown, expired, or its login has ended. One that was used before ends its login.
        """
        async with self._database.transaction() as uow:
            now = self._clock.now()
            spent = await uow.logins.spend(digest(token.get_secret_value()), now)
            found = None if spent is None else await uow.logins.with_user(spent.login_id)
            if spent is not None and found is not None and found[0].is_open(now):
                login, user = found
                if spent.used_at is not None:
                    await uow.logins.end(login.id, LoginEnd.REUSE, now)
                    await uow.audit.append(logins_ended(now, user, user_name(user), LoginEnd.REUSE, 1))
                elif now < spent.expires_at and user.is_active:
                    return await self._tokens(uow, user, login, now)
        raise bad_token()  # outside, or the end of a stolen login would be rolled back

    async def authenticate(self, token: SecretStr) -> Identity:
        """Who holds this access token.

        Raises:
            NotAuthenticated: not ours, not its time, its login has ended, or the user is no longer what it says.
        """
        now = self._clock.now()
        claims = self._access_tokens.verify(token, now)
        found = await self._lookup.get(claims.login_id)
        if found is None:
            raise bad_token()
        login, user = found
        # A token from before a change of role is refused rather than read anew: the holder should know.
        if not (login.is_open(now) and user.is_active and (user.id, user.role) == (claims.user_id, claims.role)):
            raise bad_token()
        return by_login(user, login)

    async def logout(self, identity: Identity) -> None:
        """End the login of this identity, at once.

        Raises:
            NotPermitted: the identity came by an API key.
        """
        login_id = identity.own_login()
        async with self._database.transaction() as uow:
            now = self._clock.now()
            if await uow.logins.end(login_id, LoginEnd.LOGOUT, now):
                await uow.audit.append(logins_ended(now, identity.user, identity.principal.name, LoginEnd.LOGOUT, 1))

    async def logout_all(self, identity: Identity) -> int:
        """End every login of the user, and say how many were open.

        Raises:
            NotPermitted: the identity came by an API key.
        """
        identity.own_login()
        async with self._database.transaction() as uow:
            now = self._clock.now()
            count = await uow.logins.end_all(identity.user.id, LoginEnd.LOGOUT, now)
            await uow.audit.append(logins_ended(now, identity.user, identity.principal.name, LoginEnd.LOGOUT, count))
        return count

    async def _tokens(self, uow: UnitOfWork, user: User, login: Login, now: datetime) -> Tokens:
        refresh = SecretStr(REFRESH_PREFIX + random_text(self._token_bytes))
        expires_at = min(now + self._settings.unused, login.expires_at)
        await uow.logins.add_token(RefreshToken(digest(refresh.get_secret_value()), login.id, now, expires_at))
        access = self._access_tokens.issue(
            user_id=user.id, login_id=login.id, role=user.role, token_id=random_id(self._token_bytes), now=now
        )
        return Tokens(access, self._access_tokens.expiry(now), refresh, expires_at)


def logins_ended(now: datetime, user: User, actor: str, why: LoginEnd, count: int) -> AuditEntry:
    """What the audit trail is told when logins of a user end."""
    after = {"reason": why, "logins": count}
    return AuditEntry(now, actor, AuditAction.USER_SESSIONS_REVOKED, SubjectKind.USER, user.id, after=after)
