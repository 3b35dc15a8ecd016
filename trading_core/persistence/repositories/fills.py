"""Executions, each booked once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, RowMapping, bindparam, func, select

from trading_core.domain.errors import FillConflict
from trading_core.domain.money import Money
from trading_core.domain.orders import Fill
from trading_core.persistence.repositories.base import Repository, columns
from trading_core.persistence.tables import fills, orders

_OF_ORDER = select(fills).where(fills.c.client_order_id == bindparam("client_order_id")).order_by(fills.c.sequence)


class FillsRepository(Repository):
    async def add(self, account_id: str, fill: Fill) -> bool:
        """Book a fill. False when the very same one is already booked.

        Raises:
            FillConflict: the trade id is booked with another content.
        """
        await self._claims.take(account_id)
        row = columns(fill) | {"account_id": account_id, "fee": fill.fee.amount, "fee_asset": fill.fee.asset}
        if await self._add(fills, row, fills.c.account_id, fills.c.trade_id):
            return True
        same_trade = (fills.c.account_id == account_id, fills.c.trade_id == fill.trade_id)
        known = await self._one(select(fills).where(*same_trade))
        if known is None or fill_of(known) != fill:
            raise FillConflict(
                f"trade {fill.trade_id!r} of account {account_id!r} is booked with another content",
                not_done="The fill was not booked",
                next_step="Compare the trade with the venue",
            )
        return False

    async def of_order(self, client_order_id: str) -> tuple[Fill, ...]:
        return tuple(fill_of(row) for row in await self._all(_OF_ORDER, client_order_id=client_order_id))

    async def of_account(self, account_id: str) -> tuple[Fill, ...]:
        """All fills in the order they were booked: folding them again gives the very same portfolio."""
        return await self._where(fills.c.account_id == account_id)

    async def of_run(self, run_id: str) -> tuple[Fill, ...]:
        """The fills of the run's orders, in the order they were booked."""
        query = select(fills).join(orders).where(orders.c.run_id == run_id).order_by(fills.c.sequence)
        return tuple(fill_of(row) for row in await self._all(query))

    async def last_at(self, account_id: str) -> datetime | None:
        """When the account last traded."""
        row = await self._one(select(func.max(fills.c.at).label("at")).where(fills.c.account_id == account_id))
        at: datetime | None = row["at"] if row is not None else None
        return at

    async def _where(self, *conditions: ColumnElement[bool]) -> tuple[Fill, ...]:
        query = select(fills).where(*conditions).order_by(fills.c.sequence)
        return tuple(fill_of(row) for row in await self._all(query))


def fill_of(row: RowMapping) -> Fill:
    """The fill of a row of `fills`."""
    return Fill(
        trade_id=row["trade_id"],
        client_order_id=row["client_order_id"],
        symbol=row["symbol"],
        side=row["side"],
        quantity=row["quantity"],
        price=row["price"],
        fee=Money(row["fee"], row["fee_asset"]),
        at=row["at"],
        is_maker=row["is_maker"],
    )
