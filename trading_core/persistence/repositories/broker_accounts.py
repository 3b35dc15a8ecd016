"""Which accounts at which venues the desk may open."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, select, update

from trading_core.persistence.repositories.base import Repository, columns
from trading_core.persistence.tables import broker_accounts


@dataclass(frozen=True, slots=True)
class BrokerAccount:
    """An account at a venue.

    Attributes:
        id: of the account in the ledger, and the label its keys are stored under.
        venue: ccxt's id.
        production: the money is real. Otherwise it is the venue's sandbox, or a test venue at `url`.
        url: another host that speaks the venue's API; None for the venue's own.
    """

    id: str
    venue: str
    production: bool
    url: str | None
    created_at: datetime
    created_by: str


class BrokerAccountsRepository(Repository):
    async def add(self, account: BrokerAccount) -> bool:
        """False when the id is taken."""
        return await self._add(broker_accounts, columns(account), broker_accounts.c.id)

    async def get(self, account_id: str) -> BrokerAccount | None:
        row = await self._one(select(broker_accounts).where(broker_accounts.c.id == account_id))
        return None if row is None else BrokerAccount(**row)

    async def all(self) -> tuple[BrokerAccount, ...]:
        """Every account, by venue and id."""
        query = select(broker_accounts).order_by(broker_accounts.c.venue, broker_accounts.c.id)
        return tuple(BrokerAccount(**row) for row in await self._all(query))

    async def set_production(self, account_id: str, production: bool) -> None:
        where = broker_accounts.c.id == bindparam("account_id")
        await self._write(
            update(broker_accounts).where(where).values(production=bindparam("real")),
            {"account_id": account_id, "real": production},
        )

    async def remove(self, account_id: str) -> bool:
        """Whether there was one."""
        done = await self._connection.execute(delete(broker_accounts).where(broker_accounts.c.id == account_id))
        return done.rowcount == 1
