"""Logins and their refresh tokens."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, RowMapping, bindparam, delete, select, update

from trading_core.persistence.identity_records import Login, LoginEnd, RefreshToken, User
from trading_core.persistence.identity_tables import logins, refresh_tokens, user_accounts, users
from trading_core.persistence.repositories.base import Repository, columns
from trading_core.persistence.repositories.users import USER_COLUMNS, read_user

_LOGIN_FIELDS = [(column.name, f"login_{column.name}") for column in logins.c]
_LOGIN = [column.label(f"login_{column.name}") for column in logins.c]
_WITH_USER = (
    select(*USER_COLUMNS, *_LOGIN)
    .select_from(logins.join(users).outerjoin(user_accounts))
    .where(logins.c.id.in_(bindparam("ids", expanding=True)))
)


class LoginsRepository(Repository):
    async def start(self, login: Login) -> None:
        await self._write(logins.insert(), columns(login))

    async def with_user(self, login_id: str) -> tuple[Login, User] | None:
        """A login and its user, in one statement."""
        return (await self.with_users((login_id,))).get(login_id)

    async def with_users(self, login_ids: Collection[str]) -> dict[str, tuple[Login, User]]:
        """Logins and their users by the logins' ids, in one statement: every request with an access token asks for one."""
        rows_of: dict[str, list[RowMapping]] = {}
        for row in await self._all(_WITH_USER, ids=list(login_ids)):
            rows_of.setdefault(row["login_id"], []).append(row)
        return {
            login_id: (Login(**{field: rows[0][name] for field, name in _LOGIN_FIELDS}), read_user(rows))
            for login_id, rows in rows_of.items()
        }

    async def end(self, login_id: str, why: LoginEnd, at: datetime) -> bool:
        """End a login; True when it was open. The first reason stays."""
        return bool(await self._end(logins.c.id == login_id, why, at))

    async def end_all(self, user_id: str, why: LoginEnd, at: datetime) -> int:
        """End every login of a user, and say how many were open."""
        return await self._end(logins.c.user_id == user_id, why, at)

    async def forget(self, user_id: str, before: datetime) -> None:
        """Remove the user's logins that expired before an instant, and their tokens: none of them could be used again."""
        await self._connection.execute(delete(logins).where(logins.c.user_id == user_id, logins.c.expires_at < before))

    async def add_token(self, token: RefreshToken) -> None:
        await self._write(refresh_tokens.insert(), columns(token))

    async def spend(self, digest: str, at: datetime) -> RefreshToken | None:
        """Use a token up, and give it as it was before. Of those who try at the same time one gets it unused."""
        unused = update(refresh_tokens).where(refresh_tokens.c.digest == digest, refresh_tokens.c.used_at.is_(None))
        won = await self._connection.execute(unused.values(used_at=at))
        row = await self._one(select(refresh_tokens).where(refresh_tokens.c.digest == digest))
        if row is None:
            return None
        return RefreshToken(**{**row, "used_at": None if won.rowcount == 1 else row["used_at"]})

    async def _end(self, which: ColumnElement[bool], why: LoginEnd, at: datetime) -> int:
        ending = update(logins).where(which, logins.c.ended_at.is_(None)).values(ended_at=at, ended_for=why)
        return (await self._connection.execute(ending)).rowcount
