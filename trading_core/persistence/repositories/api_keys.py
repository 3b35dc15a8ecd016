"""API keys. The digest of a key's secret is read only where it is compared."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, RowMapping, select, update

from trading_core.auth.permissions import Action
from trading_core.persistence.identity_records import ApiKey
from trading_core.persistence.identity_tables import api_keys
from trading_core.persistence.repositories.base import Repository, columns, without

_KNOWN_SCOPES = frozenset(action.value for action in Action)


class ApiKeysRepository(Repository):
    async def add(self, key: ApiKey, digest: str) -> None:
        row = columns(key) | {"digest": digest, "scopes": sorted(key.scopes), "accounts": sorted(key.accounts)}
        await self._write(api_keys.insert(), row)

    async def get(self, key_id: str) -> tuple[ApiKey, str] | None:
        """A key and its digest."""
        row = await self._one(select(api_keys).where(api_keys.c.id == key_id))
        return None if row is None else (_key(row), row["digest"])

    async def of_user(self, user_id: str) -> tuple[ApiKey, ...]:
        """Every key of a user, revoked and expired ones too, oldest first."""
        query = select(api_keys).where(api_keys.c.user_id == user_id).order_by(api_keys.c.created_at, api_keys.c.id)
        return tuple(_key(row) for row in await self._all(query))

    async def revoke(self, key_id: str, at: datetime) -> bool:
        """Revoke a key; True when it was not revoked before."""
        return bool(await self._revoke(api_keys.c.id == key_id, at))

    async def revoke_all(self, user_id: str, at: datetime) -> int:
        """Revoke every key of a user, and say how many that were."""
        return await self._revoke(api_keys.c.user_id == user_id, at)

    async def used(self, key_id: str, at: datetime) -> None:
        await self._connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(last_used_at=at))

    async def _revoke(self, which: ColumnElement[bool], at: datetime) -> int:
        revoking = update(api_keys).where(which, api_keys.c.revoked_at.is_(None)).values(revoked_at=at)
        return (await self._connection.execute(revoking)).rowcount


def _key(row: RowMapping) -> ApiKey:
    # A scope that this version does not know grants nothing.
    scopes = frozenset(Action(scope) for scope in row["scopes"] if scope in _KNOWN_SCOPES)
    return ApiKey(**{**without(row, "digest"), "scopes": scopes, "accounts": frozenset(row["accounts"])})
