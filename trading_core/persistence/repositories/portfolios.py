"""Accounts: what they hold, and what they were worth after each run."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, Table, bindparam, literal, select, union_all, update

from trading_core.domain.errors import LedgerError
from trading_core.domain.money import ZERO
from trading_core.domain.portfolio import Portfolio
from trading_core.domain.positions import Position
from trading_core.persistence.records import PortfolioSnapshotRecord
from trading_core.persistence.repositories.base import Repository, columns
from trading_core.persistence.repositories.claims import unknown_account
from trading_core.persistence.tables import accounts, balances, fees, portfolio_snapshots, positions
from trading_core.persistence.types import Exact


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
        held: dict[str, dict[str, RowMapping]] = {"account": {}, "balance": {}, "position": {}, "fee": {}}
        for row in await self._all(_HOLDINGS, account_id=account_id):
            held[row["kind"]][row["name"]] = row
        if not held["account"]:
            raise unknown_account(account_id)
        ((currency, account),) = held["account"].items()
        return Portfolio(
            account_id=account_id,
            currency=currency,
            deposited=account["amount"],
            balances={name: row["amount"] for name, row in held["balance"].items()},
            positions={
                name: Position(name, row["amount"], row["cost"], row["realised"]) for name, row in held["position"].items()
            },
            fees={name: row["amount"] for name, row in held["fee"].items()},
            transferred=account["cost"],
        )

    async def opened_at(self, account_id: str) -> datetime | None:
        """When the account was opened in this ledger; None when it was not."""
        row = await self._one(select(accounts.c.created_at).where(accounts.c.id == account_id))
        return None if row is None else row["created_at"]

    async def save(self, portfolio: Portfolio, before: Portfolio | None = None) -> None:
        """Write what the account now holds, or what of it differs from `before`, which must be what is on record. An asset or a
        symbol once held stays, if only with zero.

        Raises:
            LedgerError: there is no such account, or its currency or deposit differ: those never change.
        """
        claim = await self._claims.take(portfolio.account_id)
        if (claim.currency, claim.deposit) != (portfolio.currency, portfolio.deposited):
            raise LedgerError(
                f"account {portfolio.account_id!r} was opened with {claim.deposit} {claim.currency}",
                not_done="The portfolio was not written",
                next_step="Load the account and fold the fills into it",
            )
        await self._write_holdings(portfolio, before)
        if before is None or before.transferred != portfolio.transferred:
            await self._write(_SET_TRANSFERRED, {"account_id": portfolio.account_id, "value": portfolio.transferred})

    async def record(self, snapshot: PortfolioSnapshotRecord) -> None:
        """Write what the account was worth after a run; again for the same run replaces it."""
        await self._put(portfolio_snapshots, [columns(snapshot)])

    async def curve(self, account_id: str) -> tuple[PortfolioSnapshotRecord, ...]:
        """The account's worth over time, oldest first."""
        order = (portfolio_snapshots.c.at, portfolio_snapshots.c.run_id)
        query = select(portfolio_snapshots).where(portfolio_snapshots.c.account_id == account_id).order_by(*order)
        return tuple(PortfolioSnapshotRecord(**row) for row in await self._all(query))

    async def last_worth(self, account_id: str) -> PortfolioSnapshotRecord | None:
        """What the account was worth after its last run; None before the first."""
        order = (portfolio_snapshots.c.at.desc(), portfolio_snapshots.c.run_id.desc())
        mine = portfolio_snapshots.c.account_id == account_id
        row = await self._one(select(portfolio_snapshots).where(mine).order_by(*order).limit(1))
        return None if row is None else PortfolioSnapshotRecord(**row)

    async def first_worth(self, account_id: str) -> PortfolioSnapshotRecord | None:
        """What the account was worth after its first run; None before it."""
        order = (portfolio_snapshots.c.at, portfolio_snapshots.c.run_id)
        mine = portfolio_snapshots.c.account_id == account_id
        row = await self._one(select(portfolio_snapshots).where(mine).order_by(*order).limit(1))
        return None if row is None else PortfolioSnapshotRecord(**row)

    async def of_run(self, run_id: str) -> PortfolioSnapshotRecord | None:
        row = await self._one(select(portfolio_snapshots).where(portfolio_snapshots.c.run_id == run_id))
        return None if row is None else PortfolioSnapshotRecord(**row)

    async def _account(self, account_id: str) -> RowMapping:
        row = await self._one(select(accounts).where(accounts.c.id == account_id))
        if row is None:
            raise unknown_account(account_id)
        return row

    async def _write_holdings(self, portfolio: Portfolio, before: Portfolio | None = None) -> None:
        account_id, known = portfolio.account_id, before or replace(portfolio, balances={}, positions={}, fees={})
        for table, amounts, old in ((balances, portfolio.balances, known.balances), (fees, portfolio.fees, known.fees)):
            changed = [asset for asset, amount in amounts.items() if old.get(asset) != amount]
            rows = [{"account_id": account_id, "asset": asset, "amount": amounts[asset]} for asset in changed]
            await self._put(table, rows)
        held = [position for symbol, position in portfolio.positions.items() if known.positions.get(symbol) != position]
        await self._put(positions, [columns(position) | {"account_id": account_id} for position in held])


def _held(kind: str, table: Table, name: str, *amounts: ColumnElement[Any]) -> Select[Any]:
    padded = [*amounts, *(literal(ZERO, Exact) for _ in range(3 - len(amounts)))]
    named = [column.label(label) for column, label in zip(padded, ("amount", "cost", "realised"), strict=True)]
    mine = (table.c.id if table is accounts else table.c.account_id) == bindparam("account_id")
    return select(literal(kind).label("kind"), table.c[name].label("name"), *named).where(mine)


# The account, its positions, balances and fees in one statement: it is read many times in a run.
_HOLDINGS = union_all(
    _held("account", accounts, "currency", accounts.c.deposit, accounts.c.transferred),
    _held("position", positions, "symbol", positions.c.quantity, positions.c.cost, positions.c.realised),
    _held("balance", balances, "asset", balances.c.amount),
    _held("fee", fees, "asset", fees.c.amount),
).order_by("kind", "name")

_SET_TRANSFERRED = update(accounts).where(accounts.c.id == bindparam("account_id")).values(transferred=bindparam("value"))
