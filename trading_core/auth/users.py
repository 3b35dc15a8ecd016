"""Users: who they are, and what others may change about them.

Whoever manages users may take away from anybody, but give only what is his own: a key that may do nothing but manage users must
not make an administrator, nor take one over by setting a new password.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, replace

from pydantic import SecretStr

from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind, difference, recorded
from trading_core.auth.identity import Identity, no_such_user
from trading_core.auth.lockout import PasswordGuard, subject_of
from trading_core.auth.logins import logins_ended
from trading_core.auth.opaque import TokenBytes, random_id, random_text
from trading_core.auth.passwords import PasswordHasher
from trading_core.auth.permissions import Action, Principal
from trading_core.auth.roles import ROLE_ACTIONS, Role
from trading_core.domain.clock import Clock
from trading_core.domain.errors import InvalidInput, NotPermitted
from trading_core.persistence.identity_records import LoginEnd, User
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

_USERNAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{2,31}", re.ASCII)  # ASCII: no two names look alike
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")  # that it arrives is the only real check of an address
_LONGEST_EMAIL = 254
_DEMO_PASSWORD_BYTES = 18  # 24 characters


@dataclass(frozen=True, slots=True)
class DemoUser:
    """A user for trying things out, and the password, which is shown once and kept nowhere."""

    user: User
    password: SecretStr


class Users:
    """Users over the database. What changes another's state takes the principal who does it, and is told to the audit trail."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        hasher: PasswordHasher,
        guard: PasswordGuard,
        token_bytes: TokenBytes = secrets.token_bytes,
    ) -> None:
        self._database = database
        self._clock = clock
        self._hasher = hasher
        self._guard = guard
        self._token_bytes = token_bytes

    async def create(
        self, actor: Principal, username: str, email: str, password: SecretStr, role: Role, accounts: Collection[str] = ()
    ) -> User:
        """A new user, active at once.

        Raises:
            InvalidInput: a name or e-mail address that cannot be one, or a weak password.
            NotPermitted: the actor does not manage users, or may less than the new user would.
            UserError: the name or the e-mail address is taken, in whatever spelling.
        """
        user = self._new(actor, username, email, role, accounts)
        await self._hasher.check(password, (username, email))
        password_hash = await self._hasher.hash(password)
        async with self._database.transaction() as uow:
            await self._add(uow, actor, user, password_hash)
        return user

    async def create_demo_users(self, actor: Principal, accounts: Collection[str]) -> tuple[DemoUser, ...]:
        """One user for each role, named `demo-<role>`, with random passwords. For development only.

        Raises:
            NotPermitted: the actor does not manage users, or has not the accounts.
            UserError: one of them exists already. None was created.
        """
        made = []
        for role in Role:
            name = f"demo-{role.value}"
            user = self._new(actor, name, f"{name}@example.invalid", role, accounts)
            password = SecretStr(random_text(self._token_bytes, _DEMO_PASSWORD_BYTES))
            made.append((DemoUser(user, password), await self._hasher.hash(password)))
        async with self._database.transaction() as uow:
            for demo, password_hash in made:
                await self._add(uow, actor, demo.user, password_hash)
        return tuple(demo for demo, _ in made)

    async def all(self, actor: Principal) -> tuple[User, ...]:
        """Everybody, by name.

        Raises:
            NotPermitted: the actor does not manage users.
        """
        actor.require(Action.MANAGE_USERS)
        async with self._database.reading() as uow:
            return await uow.users.all()

    async def named(self, actor: Principal, name: str) -> User:
        """The user of a name or an e-mail address, in whatever spelling.

        Raises:
            NotPermitted: the actor does not manage users.
            UserError: there is none.
        """
        actor.require(Action.MANAGE_USERS)
        async with self._database.reading() as uow:
            known = await uow.users.named(name)
        if known is None:
            raise no_such_user(name, "Nothing was changed")
        return known.user

    async def get(self, actor: Principal, user_id: str) -> User:
        """The user of an id.

        Raises:
            NotPermitted: the actor does not manage users.
            UnknownUser: there is none.
        """
        actor.require(Action.MANAGE_USERS)
        async with self._database.reading() as uow:
            known = await uow.users.get(user_id)
        if known is None:
            raise no_such_user(user_id, "Nothing was changed")
        return known

    async def change_role(self, actor: Principal, user_id: str, role: Role) -> User:
        """Give another role. Access tokens of the old one are refused from now on; a refresh brings one of the new.

        Raises:
            NotPermitted: the actor does not manage users, or may less than the user then would.
            UserError: there is no such user.
        """
        async with self._database.transaction() as uow:
            user = await self._managed(uow, actor, user_id)
            changed = replace(user, role=role)
            if not ROLE_ACTIONS[role] <= ROLE_ACTIONS[user.role]:
                _require_over(actor, changed)
            await uow.users.set_role(user_id, role)
            await self._told(uow, actor, AuditAction.USER_CHANGED, user, changed)
        return changed

    async def set_accounts(self, actor: Principal, user_id: str, accounts: Collection[str]) -> User:
        """Replace the accounts the user may act on.

        Raises:
            InvalidInput: an empty account id.
            NotPermitted: the actor does not manage users, or adds what the actor has not.
            UserError: there is no such user.
        """
        async with self._database.transaction() as uow:
            user = await self._managed(uow, actor, user_id)
            changed = replace(user, accounts=_accounts(accounts))
            if added := changed.accounts - user.accounts:
                _require_over(actor, replace(user, accounts=added))
            await uow.users.set_accounts(user_id, changed.accounts)
            await self._told(uow, actor, AuditAction.USER_CHANGED, user, changed)
        return changed

    async def deactivate(self, actor: Principal, user_id: str) -> User:
        """Shut a user out, at once and everywhere: every login ends and every API key is revoked.

        Raises:
            NotPermitted: the actor does not manage users.
            UserError: there is no such user.
        """
        async with self._database.transaction() as uow:
            user = await self._managed(uow, actor, user_id)
            now, changed = self._clock.now(), replace(user, is_active=False)
            await uow.users.set_active(user_id, active=False)
            await uow.logins.end_all(user_id, LoginEnd.DEACTIVATED, now)
            await uow.api_keys.revoke_all(user_id, now)
            await self._told(uow, actor, AuditAction.USER_DEACTIVATED, user, changed)
        return changed

    async def activate(self, actor: Principal, user_id: str) -> User:
        """Let a user log in again. Logins and keys from before stay ended.

        Raises:
            NotPermitted: the actor does not manage users, or may less than the user.
            UserError: there is no such user.
        """
        async with self._database.transaction() as uow:
            user = await self._managed(uow, actor, user_id)
            _require_over(actor, user)
            changed = replace(user, is_active=True)
            await uow.users.set_active(user_id, active=True)
            await self._told(uow, actor, AuditAction.USER_CHANGED, user, changed)
        return changed

    async def end_logins(self, actor: Principal, user_id: str) -> int:
        """End every login of a user, and say how many were open.

        Raises:
            NotPermitted: the actor does not manage users.
            UserError: there is no such user.
        """
        async with self._database.transaction() as uow:
            user = await self._managed(uow, actor, user_id)
            now = self._clock.now()
            count = await uow.logins.end_all(user_id, LoginEnd.REVOKED, now)
            await uow.audit.append(logins_ended(now, user, actor.name, LoginEnd.REVOKED, count))
        return count

    async def change_password(self, identity: Identity, current: SecretStr, new: SecretStr) -> None:
        """Change one's own password. Every login ends, this one too; API keys stay.

        Raises:
            NotAuthenticated: the current password is wrong, or was tried too often.
            NotPermitted: the identity came by an API key.
            WeakPassword: the new password breaks a rule.
        """
        identity.own_login()
        await self._hasher.check(new, (identity.user.username, identity.user.email))
        password_hash = await self._hasher.hash(new)
        async with self._guard.proven(identity.user.username, current) as (uow, user):
            await self._set_password(uow, identity.principal.name, user, password_hash)

    async def reset_password(self, actor: Principal, user_id: str, new: SecretStr) -> None:
        """Set somebody's password, after a loss or a theft: logins end, API keys are revoked, and a lock is lifted.

        Raises:
            NotPermitted: the actor does not manage users, or may less than the user.
            UserError: there is no such user.
            WeakPassword: the new password breaks a rule.
        """
        actor.require(Action.MANAGE_USERS)
        async with self._database.reading() as uow:
            known = await uow.users.get(user_id)
        await self._hasher.check(new, () if known is None else (known.username, known.email))
        password_hash = await self._hasher.hash(new)
        async with self._database.transaction() as uow:
            await uow.login_failures.clear(subject_of(user_id))  # first, as a login does: two orders of locking could meet
            user = await self._managed(uow, actor, user_id)
            _require_over(actor, user)
            await uow.api_keys.revoke_all(user_id, self._clock.now())
            await self._set_password(uow, actor.name, user, password_hash)

    def _new(self, actor: Principal, username: str, email: str, role: Role, accounts: Collection[str]) -> User:
        actor.require(Action.MANAGE_USERS)
        if not _USERNAME.fullmatch(username):
            raise InvalidInput(
                f"{username!r} cannot be a user name",
                not_done="No user was created",
                next_step="Use 3 to 32 letters, digits, dots, dashes and underscores, a letter or digit first",
            )
        if not _EMAIL.fullmatch(email) or len(email) > _LONGEST_EMAIL or not email.isprintable():
            raise InvalidInput(f"{email!r} is no e-mail address", not_done="No user was created")
        user = User(random_id(self._token_bytes), username, email, role, True, self._clock.now(), accounts=_accounts(accounts))
        _require_over(actor, user)
        return user

    async def _add(self, uow: UnitOfWork, actor: Principal, user: User, password_hash: str) -> None:
        await uow.users.add(user, password_hash)
        after = recorded(user)
        await uow.audit.append(
            AuditEntry(user.created_at, actor.name, AuditAction.USER_CREATED, SubjectKind.USER, user.id, after=after)
        )

    async def _managed(self, uow: UnitOfWork, actor: Principal, user_id: str) -> User:
        """The user as it stands, held until the end of the transaction, for an actor who manages users."""
        actor.require(Action.MANAGE_USERS)
        return (await uow.users.locked(user_id)).user

    async def _set_password(self, uow: UnitOfWork, actor: str, user: User, password_hash: str) -> None:
        now = self._clock.now()
        await uow.users.set_password(user.id, password_hash)
        after = {"logins_ended": await uow.logins.end_all(user.id, LoginEnd.PASSWORD, now)}
        await uow.audit.append(AuditEntry(now, actor, AuditAction.USER_PASSWORD_CHANGED, SubjectKind.USER, user.id, after=after))

    async def _told(self, uow: UnitOfWork, actor: Principal, action: AuditAction, before: User, after: User) -> None:
        old, new = difference(before, after)
        await uow.audit.append(AuditEntry(self._clock.now(), actor.name, action, SubjectKind.USER, before.id, old, new))


def _accounts(accounts: Collection[str]) -> frozenset[str]:
    if not all(accounts):
        raise InvalidInput("an account without an id cannot be given to a user", not_done="Nothing was changed")
    return frozenset(accounts)


def _require_over(actor: Principal, user: User) -> None:
    """Raise unless the actor may everything that the user may."""
    if ROLE_ACTIONS[user.role] <= actor.actions and user.accounts <= actor.accounts:
        return
    raise NotPermitted(
        f"{actor.name!r} may less than {user.username!r} does or would",
        not_done="Nothing was changed",
        next_step="Ask somebody with the role and the accounts in question",
    )
