"""What came into accounts and left them other than by trading."""

from __future__ import annotations

from sqlalchemy import func, select

from trading_core.domain.portfolio import Transfer
from trading_core.persistence.repositories.base import Repository, columns, without
from trading_core.persistence.tables import fills, transfers


class TransfersRepository(Repository):
    async def add(self, account_id: str, transfer: Transfer) -> None:
        """Write down a transfer; what the account then holds is written by itself."""
        await self._claims.take(account_id)
        await self._write(transfers.insert(), columns(transfer) | {"account_id": account_id})

    async def of_account(self, account_id: str) -> tuple[Transfer, ...]:
        """In the order they were booked."""
        query = select(transfers).where(transfers.c.account_id == account_id).order_by(transfers.c.sequence)
        return tuple(Transfer(**without(row, "sequence", "account_id")) for row in await self._all(query))

    async def fills_so_far(self, account_id: str) -> int:
        """How many fills of the account are booked."""
        row = await self._one(select(func.count().label("count")).select_from(fills).where(fills.c.account_id == account_id))
        return 0 if row is None else int(row["count"])
