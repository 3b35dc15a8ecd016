"""Users, the accounts they may act on, and how often logging in as them failed."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, RowMapping, delete, select, update

from trading_core.auth.roles import Role
from trading_core.domain.errors import UnknownUser, UserError
from trading_core.persistence.identity_records import Credentials, LoginFailures, User
from trading_core.persistence.identity_tables import login_failures, user_accounts, users
from trading_core.persistence.repositories.base import Repository, columns

# The columns of a `User`, one row for each of its accounts. The hash of the password is read only where it is asked for.
USER_COLUMNS = (
    users.c.id,
    users.c.username,
    users.c.email,
    users.c.role,
    users.c.is_active,
    users.c.created_at,
    users.c.last_login,
    user_accounts.c.account_id,
)

_USERS = select(*USER_COLUMNS).select_from(users.outerjoin(user_accounts))
_WITH_HASH = _USERS.add_columns(users.c.password_hash)


def folded(name: str) -> str:
    """The form under which two spellings of one name or e-mail address are equal: compatibility caseless matching.

    https://www.unicode.org/versions/Unicode16.0.0/core-spec/chapter-3/ (definition D146)
    """
    once = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", name).casefold())
    return unicodedata.normalize("NFKC", once.casefold()).strip()


def read_user(rows: Sequence[RowMapping]) -> User:
    """One user from its rows."""
    row = rows[0]
    fields = {column.name: row[column.name] for column in USER_COLUMNS[:-1]}
    return User(**fields, accounts=frozenset(row["account_id"] for row in rows if row["account_id"] is not None))


class UsersRepository(Repository):
    async def add(self, user: User, password_hash: str) -> None:
        """Write a new user.

        Raises:
            UserError: the name or the e-mail address is taken, in whatever spelling.
        """
        row = columns(user) | {"password_hash": password_hash}
        row |= {"username_key": folded(user.username), "email_key": folded(user.email)}
        del row["accounts"]
        insert = self._insert(users).on_conflict_do_nothing().returning(users.c.id)
        if (await self._connection.execute(insert, row)).first() is None:
            raise UserError(
                f"the name {user.username!r} or the e-mail address {user.email!r} is taken",
                not_done="No user was created",
                next_step="Choose others, or change the user who has them",
            )
        await self._add_accounts(user.id, user.accounts)

    async def get(self, user_id: str) -> User | None:
        return next(iter(await self._read(users.c.id == user_id)), None)

    async def all(self) -> tuple[User, ...]:
        """Everybody, by name."""
        return tuple(await self._read())

    async def named(self, name: str) -> Credentials | None:
        """Who has this user name or e-mail address. No name has an @, so that none is another's address."""
        key = folded(name)
        return await self._credentials((users.c.email_key if "@" in key else users.c.username_key) == key)

    async def locked(self, user_id: str) -> Credentials:
        """A user as it stands, held until the end of the transaction.

        Raises:
            UnknownUser: there is no such user.
        """
        await self._one(select(users.c.id).where(users.c.id == user_id).with_for_update())
        known = await self._credentials(users.c.id == user_id)
        if known is None:
            raise UnknownUser(f"no user has the id {user_id!r}", not_done="Nothing was changed", next_step="List the users")
        return known

    async def set_role(self, user_id: str, role: Role) -> None:
        await self._set(user_id, role=role)

    async def set_active(self, user_id: str, *, active: bool) -> None:
        await self._set(user_id, is_active=active)

    async def set_password(self, user_id: str, password_hash: str) -> None:
        await self._set(user_id, password_hash=password_hash)

    async def set_last_login(self, user_id: str, at: datetime) -> None:
        await self._set(user_id, last_login=at)

    async def set_accounts(self, user_id: str, accounts: Collection[str]) -> None:
        await self._connection.execute(delete(user_accounts).where(user_accounts.c.user_id == user_id))
        await self._add_accounts(user_id, accounts)

    async def _add_accounts(self, user_id: str, accounts: Iterable[str]) -> None:
        rows = [{"user_id": user_id, "account_id": account} for account in sorted(accounts)]
        await self._write(user_accounts.insert(), rows)

    async def _set(self, user_id: str, **values: object) -> None:
        await self._connection.execute(update(users).where(users.c.id == user_id).values(**values))

    async def _credentials(self, which: ColumnElement[bool]) -> Credentials | None:
        # One statement, so that finding somebody takes no longer than finding nobody.
        rows = await self._all(_WITH_HASH.where(which))
        return Credentials(read_user(rows), rows[0]["password_hash"]) if rows else None

    async def _read(self, *which: ColumnElement[bool]) -> list[User]:
        found: dict[str, list[RowMapping]] = {}
        for row in await self._all(_USERS.where(*which).order_by(users.c.username_key)):
            found.setdefault(row["id"], []).append(row)
        return [read_user(rows) for rows in found.values()]


class LoginFailuresRepository(Repository):
    async def get(self, subject: str) -> LoginFailures | None:
        row = await self._one(select(login_failures).where(login_failures.c.subject == subject))
        return None if row is None else LoginFailures(**row)

    async def held(self, subject: str, now: datetime) -> LoginFailures:
        """A subject's count, held until the end of the transaction, so that guesses made at once are counted one by one."""
        await self._add(login_failures, columns(LoginFailures(subject, 0, now)), login_failures.c.subject)
        row = await self._one(select(login_failures).where(login_failures.c.subject == subject).with_for_update())
        return LoginFailures(subject, 0, now) if row is None else LoginFailures(**row)

    async def put(self, record: LoginFailures) -> None:
        await self._put(login_failures, [columns(record)])

    async def clear(self, subject: str) -> None:
        await self._connection.execute(delete(login_failures).where(login_failures.c.subject == subject))
