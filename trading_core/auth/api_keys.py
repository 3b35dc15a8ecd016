"""API keys: how machines get in.

A key reads `at_<id>_<secret>`. The id finds the row, so that no secret is ever searched for, and the SHA-256 of the secret is
compared in constant time (see `opaque.py` for why one fast hash is enough).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Collection
from datetime import timedelta

from pydantic import SecretStr

from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind
from trading_core.auth.identity import Identity, bad_token, by_api_key, no_such_user, principal_of
from trading_core.auth.opaque import TokenBytes, digest, random_id, random_text
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.clock import Clock
from trading_core.domain.errors import InvalidInput, NotPermitted, UnknownUser, UserError
from trading_core.persistence.identity_records import ApiKey, User
from trading_core.persistence.session import Database

PREFIX = "at"
LONGEST_LIFE = timedelta(days=366)
LONGEST_NAME = 100  # characters
USE_NOTED_EVERY = timedelta(minutes=1)  # a write on every request would cost more than the request
_NOBODYS = digest("")


class ApiKeys:
    """API keys over the database."""

    def __init__(self, database: Database, clock: Clock, token_bytes: TokenBytes = secrets.token_bytes) -> None:
        self._database = database
        self._clock = clock
        self._token_bytes = token_bytes

    async def issue(
        self, identity: Identity, name: str, scopes: Collection[Action], accounts: Collection[str], life: timedelta
    ) -> tuple[ApiKey, SecretStr]:
        """A new key of one's own, and its text, which is given this once.

        Raises:
            InvalidInput: no name or scope, or a life that is not between nothing and `LONGEST_LIFE`.
            NotPermitted: more than the identity may itself, or the identity came by an API key.
        """
        identity.own_login()
        _check_within(identity.principal, scopes, accounts)
        return await self._issue(identity.principal, identity.user, name, scopes, accounts, life)

    async def issue_for(
        self, actor: Principal, user_id: str, name: str, scopes: Collection[Action], accounts: Collection[str], life: timedelta
    ) -> tuple[ApiKey, SecretStr]:
        """A new key of somebody's, such as a machine's that never logs in, and its text, which is given this once.

        Raises:
            InvalidInput: no name or scope, or a life that is not between nothing and `LONGEST_LIFE`.
            NotPermitted: the actor does not manage users, or the key would do what the actor or the user may not.
            UserError: there is no such user, or it is deactivated.
        """
        actor.require(Action.MANAGE_USERS)
        async with self._database.reading() as uow:
            user = await uow.users.get(user_id)
        if user is None:
            raise no_such_user(user_id, "No key was made")
        _check_within(actor, scopes, accounts)
        _check_within(principal_of(user), scopes, accounts)
        return await self._issue(actor, user, name, scopes, accounts, life)

    async def _issue(
        self, actor: Principal, user: User, name: str, scopes: Collection[Action], accounts: Collection[str], life: timedelta
    ) -> tuple[ApiKey, SecretStr]:
        _check(name, scopes, life)
        now = self._clock.now()
        key = ApiKey(
            id=random_id(self._token_bytes),
            user_id=user.id,
            name=name,
            scopes=frozenset(scopes),
            accounts=frozenset(accounts),
            created_at=now,
            expires_at=now + life,
        )
        secret = random_text(self._token_bytes)
        async with self._database.transaction() as uow:
            if not (await uow.users.locked(user.id)).user.is_active:  # or the key would outlive the end of all others
                raise UserError(
                    f"{user.username!r} is deactivated", not_done="No key was made", next_step="Activate the user first"
                )
            await uow.api_keys.add(key, digest(secret))
            after = {
                "user_id": key.user_id,
                "name": name,
                "scopes": key.scopes,
                "accounts": key.accounts,
                "expires_at": key.expires_at,
            }
            await uow.audit.append(
                AuditEntry(now, actor.name, AuditAction.API_KEY_ISSUED, SubjectKind.API_KEY, key.id, after=after)
            )
        return key, SecretStr(f"{PREFIX}_{key.id}_{secret}")

    async def authenticate(self, text: SecretStr) -> Identity:
        """Who holds this key, and what may be done with it today.

        Raises:
            NotAuthenticated: unknown, wrong, expired or revoked, or its user is deactivated: always in the same words.
        """
        now = self._clock.now()
        prefix, key_id, secret = (*text.get_secret_value().split("_", 2), "", "", "")[:3]
        async with self._database.reading() as uow:
            found = await uow.api_keys.get(key_id) if prefix == PREFIX else None
            user = None if found is None else await uow.users.get(found[0].user_id)
        matches = hmac.compare_digest(_NOBODYS if found is None else found[1], digest(secret))
        if found is None or user is None or not (matches and found[0].is_good(now) and user.is_active):
            raise bad_token()
        key = found[0]
        if key.last_used_at is None or now - key.last_used_at >= USE_NOTED_EVERY:
            async with self._database.transaction() as uow:
                await uow.api_keys.used(key.id, now)
        return by_api_key(user, key)

    async def mine(self, identity: Identity) -> tuple[ApiKey, ...]:
        """One's own keys, oldest first, those that are no longer good too.

        Raises:
            NotPermitted: the identity came by an API key.
        """
        identity.own_login()
        async with self._database.reading() as uow:
            return await uow.api_keys.of_user(identity.user.id)

    async def of_user(self, actor: Principal, user_id: str) -> tuple[ApiKey, ...]:
        """Somebody's keys, oldest first.

        Raises:
            NotPermitted: the actor does not manage users.
        """
        actor.require(Action.MANAGE_USERS)
        async with self._database.reading() as uow:
            return await uow.api_keys.of_user(user_id)

    async def revoke(self, who: Identity | Principal, key_id: str, *, user_id: str | None = None) -> None:
        """Revoke a key: an identity one of its own, whoever manages users anybody's. A second time changes nothing.

        Args:
            user_id: whose it must be, for a principal who names the user.

        Raises:
            UserError: there is no such key, or it is another's, which is not told apart.
            NotPermitted: the identity came by an API key, or the principal does not manage users.
        """
        owner = user_id
        if isinstance(who, Identity):
            who.own_login()
            owner, actor = who.user.id, who.principal
        else:
            who.require(Action.MANAGE_USERS)
            actor = who
        async with self._database.transaction() as uow:
            found = await uow.api_keys.get(key_id)
            if found is None or owner not in {None, found[0].user_id}:
                raise UnknownUser(f"no key has the id {key_id!r}", not_done="No key was revoked", next_step="List the keys")
            now = self._clock.now()
            if await uow.api_keys.revoke(key_id, now):
                before, after = {"revoked_at": None}, {"revoked_at": now, "user_id": found[0].user_id}
                await uow.audit.append(
                    AuditEntry(now, actor.name, AuditAction.API_KEY_REVOKED, SubjectKind.API_KEY, key_id, before, after)
                )


def _check_within(giver: Principal, scopes: Collection[Action], accounts: Collection[str]) -> None:
    excess = sorted({scope.value for scope in scopes} - giver.actions) + sorted(set(accounts) - giver.accounts)
    if excess:
        raise NotPermitted(
            f"{giver.name!r} may not give a key what it has not itself: {', '.join(map(repr, excess))}",
            not_done="No key was made",
            next_step="Leave it out, or ask somebody who manages users",
        )


def _check(name: str, scopes: Collection[Action], life: timedelta) -> None:
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise InvalidInput(f"a key needs a name of 1 to {LONGEST_NAME} printable characters", not_done="No key was made")
    if not scopes:
        raise InvalidInput("a key without a scope may do nothing", not_done="No key was made", next_step="Name what it is for")
    if not timedelta(0) < life <= LONGEST_LIFE:
        raise InvalidInput(f"a key lives up to {LONGEST_LIFE.days} days, not {life}", not_done="No key was made")
