"""Accounts: what they hold, and what they were worth after each run."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import RowMapping, delete, select

from trading_core.domain.errors import LedgerError
from trading_core.domain.portfolio import Portfolio
from trading_core.domain.positions import Position
from trading_core.persistence.records import PortfolioSnapshotRecord
from trading_core.persistence.repositories.base import Repository, columns, without
from trading_core.persistence.tables import accounts, balances, fees, portfolio_snapshots, positions


class PortfoliosRepository(Repository):
    async def open_account(self, portfolio: Portfolio, venue: str, at: datetime) -> bool:
        """Write a new account with what it holds. False when it is already open; what it holds is then left alone.

        Raises:
            LedgerError: the account is open at another venue, in another currency or with another deposit.
        """
        row = {"id": portfolio.account_id, "venue": venue, "currency": portfolio.currency, "deposit": portfolio.deposited}
        if await self._add(accounts, row | {"created_at": at}, accounts.c.id):
            await self._write_holdings(portfolio)
            return True
        known = await self._account(portfolio.account_id)
        if any(known[name] != value for name, value in row.items()):
            raise LedgerError(
                f"account {portfolio.account_id!r} is open at {known['venue']!r} with {known['deposit']} {known['currency']}",
                not_done="It was not opened again",
                next_step="Use those, or another account id",
            )
        return False

    async def load(self, account_id: str) -> Portfolio:
        """What the account holds.

        Raises:
            LedgerError: there is no such account.
        """
        account = await self._account(account_id)
        held = await self._all(select(balances).where(balances.c.account_id == account_id).order_by(balances.c.asset))
        paid = await self._all(select(fees).where(fees.c.account_id == account_id).order_by(fees.c.asset))
        rows = await self._all(select(positions).where(positions.c.account_id == account_id).order_by(positions.c.symbol))
        return Portfolio(
            account_id=account_id,
            currency=account["currency"],
            deposited=account["deposit"],
            balances={row["asset"]: row["amount"] for row in held},
            positions={row["symbol"]: Position(**without(row, "account_id")) for row in rows},
            fees={row["asset"]: row["amount"] for row in paid},
        )

    async def save(self, portfolio: Portfolio) -> None:
        """Replace what the account holds.

        Raises:
            LedgerError: there is no such account, or its currency or deposit differ: those never change.
        """
        # Where writers are concurrent (PostgreSQL), one at a time replaces the holdings.
        account = await self._account(portfolio.account_id, lock=True)
        if (account["currency"], account["deposit"]) != (portfolio.currency, portfolio.deposited):
            raise LedgerError(
                f"account {portfolio.account_id!r} was opened with {account['deposit']} {account['currency']}",
                not_done="The portfolio was not written",
                next_step="Load the account and fold the fills into it",
            )
        for table in (balances, fees, positions):
            await self._connection.execute(delete(table).where(table.c.account_id == portfolio.account_id))
        await self._write_holdings(portfolio)

    async def record(self, snapshot: PortfolioSnapshotRecord) -> None:
        """Write what the account was worth after a run; again for the same run replaces it."""
        await self._put(portfolio_snapshots, [columns(snapshot)])

    async def curve(self, account_id: str) -> tuple[PortfolioSnapshotRecord, ...]:
        """The account's worth over time, oldest first."""
        order = (portfolio_snapshots.c.at, portfolio_snapshots.c.run_id)
        query = select(portfolio_snapshots).where(portfolio_snapshots.c.account_id == account_id).order_by(*order)
        return tuple(PortfolioSnapshotRecord(**row) for row in await self._all(query))

    async def of_run(self, run_id: str) -> PortfolioSnapshotRecord | None:
        row = await self._one(select(portfolio_snapshots).where(portfolio_snapshots.c.run_id == run_id))
        return None if row is None else PortfolioSnapshotRecord(**row)

    async def _account(self, account_id: str, *, lock: bool = False) -> RowMapping:
        query = select(accounts).where(accounts.c.id == account_id)
        row = await self._one(query.with_for_update() if lock else query)
        if row is None:
            raise LedgerError(
                f"account {account_id!r} is not on record", not_done="Nothing was written", next_step="Open the account first"
            )
        return row

    async def _write_holdings(self, portfolio: Portfolio) -> None:
        account_id = portfolio.account_id
        for table, amounts in ((balances, portfolio.balances), (fees, portfolio.fees)):
            rows = [{"account_id": account_id, "asset": asset, "amount": amount} for asset, amount in amounts.items()]
            await self._write(table.insert(), rows)
        held = [columns(position) | {"account_id": account_id} for position in portfolio.positions.values()]
        await self._write(positions.insert(), held)
