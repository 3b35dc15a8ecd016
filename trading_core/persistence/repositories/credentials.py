"""Venue keys in the database, encrypted: nothing here can open them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select

from trading_core.persistence.credential_tables import venue_credentials
from trading_core.persistence.repositories.base import Repository, columns


@dataclass(frozen=True, slots=True)
class CredentialRecord:
    """One row. `created_at` is when these keys were stored, `sealed_at` when they were last encrypted."""

    venue: str
    label: str
    key_id: str
    nonce: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)
    created_at: datetime
    sealed_at: datetime


class CredentialsRepository(Repository):
    async def get(self, venue: str, label: str) -> CredentialRecord | None:
        row = await self._one(select(venue_credentials).where(*_is(venue, label)))
        return None if row is None else CredentialRecord(**row)

    async def put(self, record: CredentialRecord) -> None:
        """Store, in place of what was kept for the same venue and label."""
        await self._put(venue_credentials, [columns(record)])

    async def delete(self, venue: str, label: str) -> bool:
        """Whether there was one."""
        done = await self._connection.execute(delete(venue_credentials).where(*_is(venue, label)))
        return done.rowcount == 1

    async def all(self, *, locked: bool = False) -> tuple[CredentialRecord, ...]:
        """Every row, by venue and label; with `locked` nobody else can change them before the transaction ends."""
        query = select(venue_credentials).order_by(venue_credentials.c.venue, venue_credentials.c.label)
        rows = await self._all(query.with_for_update() if locked else query)
        return tuple(CredentialRecord(**row) for row in rows)


def _is(venue: str, label: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return venue_credentials.c.venue == venue, venue_credentials.c.label == label
