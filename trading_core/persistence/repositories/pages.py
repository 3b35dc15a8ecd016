"""What people page through: accounts, orders, fills, intents, changes of the trading state and the curve of an account's worth.

Lists are newest first, each row with the mark that the next page begins after. Every query reads by an index and stops at its
limit, however long the account's history is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from trading_core.domain.intents import Approval, RiskDecision, TradeIntent
from trading_core.domain.orders import FINAL_STATES, Fill, Order, OrderState
from trading_core.persistence.records import RiskStateChange
from trading_core.persistence.repositories.base import Repository, without
from trading_core.persistence.repositories.fills import fill_of
from trading_core.persistence.repositories.intents import decision_of
from trading_core.persistence.repositories.orders import order_of
from trading_core.persistence.tables import (
    accounts,
    approvals,
    fills,
    intents,
    orders,
    portfolio_snapshots,
    risk_decisions,
    risk_state_changes,
    runs,
)

_LIVE = tuple(state for state in OrderState if state not in FINAL_STATES)

OrderMark = tuple[datetime, str]
"""When an order was written down, and its id."""

IntentMark = tuple[int, datetime, str]
"""The sequence of the intent's run, when it was proposed, and its id."""

WorthMark = tuple[datetime, str]
"""When the account was valued, and after which run."""


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account of the ledger. `deposit` is what it was opened with, in `currency`."""

    id: str
    venue: str
    currency: str
    deposit: Decimal
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class WorthRow:
    """What an account was worth after a run, in its currency."""

    at: datetime
    run_id: str
    equity: Decimal
    cash: Decimal


class PagesRepository(Repository):
    """Reads only."""

    async def accounts(self, ids: Collection[str]) -> tuple[AccountRow, ...]:
        """Those of `ids` that are on record, by id."""
        columns = (accounts.c.id, accounts.c.venue, accounts.c.currency, accounts.c.deposit, accounts.c.created_at)
        rows = await self._all(select(*columns).where(accounts.c.id.in_(ids)).order_by(accounts.c.id))
        return tuple(AccountRow(r["id"], r["venue"], r["currency"], r["deposit"], r["created_at"]) for r in rows)

    async def orders(
        self,
        account_id: str,
        *,
        limit: int,
        before: OrderMark | None = None,
        live: bool = False,
        symbol: str | None = None,
        run_id: str | None = None,
    ) -> tuple[Order, ...]:
        """Newest first; those of one instant by id, the last first.

        Args:
            live: only those that may still trade.
        """
        query = select(orders).where(orders.c.account_id == account_id)
        if live:
            query = query.where(orders.c.state.in_(_LIVE))
        query = _matching(query, {orders.c.symbol: symbol, orders.c.run_id: run_id})
        if before is not None:
            query = query.where(_older((orders.c.created_at, orders.c.client_order_id), before))
        newest_first = (orders.c.created_at.desc(), orders.c.client_order_id.desc())
        return tuple(order_of(row) for row in await self._all(query.order_by(*newest_first).limit(limit)))

    async def fills_of_orders(self, ids: Collection[str]) -> Mapping[str, tuple[Fill, ...]]:
        """The fills of these orders, each order's in the order they were booked."""
        found: defaultdict[str, list[Fill]] = defaultdict(list)
        query = select(fills).where(fills.c.client_order_id.in_(ids)).order_by(fills.c.sequence)
        for row in await self._all(query):
            found[row["client_order_id"]].append(fill_of(row))
        return {key: tuple(rows) for key, rows in found.items()}

    async def fills(
        self, account_id: str, *, limit: int, before: int | None = None, symbol: str | None = None
    ) -> tuple[tuple[int, Fill], ...]:
        """The last fills that were booked, newest first, each with its number."""
        query = _matching(select(fills).where(fills.c.account_id == account_id), {fills.c.symbol: symbol})
        if before is not None:
            query = query.where(fills.c.sequence < before)
        rows = await self._all(query.order_by(fills.c.sequence.desc()).limit(limit))
        return tuple((row["sequence"], fill_of(row)) for row in rows)

    async def fills_after(self, account_id: str, sequence: int, limit: int) -> tuple[tuple[int, Fill], ...]:
        """The next fills in the order they were booked: the order in which positions are folded."""
        query = select(fills).where(fills.c.account_id == account_id, fills.c.sequence > sequence)
        rows = await self._all(query.order_by(fills.c.sequence).limit(limit))
        return tuple((row["sequence"], fill_of(row)) for row in rows)

    async def intents(
        self, account_id: str, *, limit: int, before: IntentMark | None = None, symbol: str | None = None
    ) -> tuple[tuple[int, TradeIntent], ...]:
        """What was wanted in the account's last runs, newest run first, each with its run's sequence."""
        query = select(intents, runs.c.sequence).join(runs, runs.c.id == intents.c.run_id).where(runs.c.account_id == account_id)
        query = _matching(query, {intents.c.symbol: symbol})
        if before is not None:
            # Said twice: the first condition is what the index on the account's runs can be entered by.
            query = query.where(runs.c.sequence <= before[0])
            query = query.where(_older((runs.c.sequence, intents.c.created_at, intents.c.intent_id), before))
        newest_first = (runs.c.sequence.desc(), intents.c.created_at.desc(), intents.c.intent_id.desc())
        rows = await self._all(query.order_by(*newest_first).limit(limit))
        return tuple((row["sequence"], TradeIntent(**without(row, "content_hash", "sequence"))) for row in rows)

    async def decisions_of(self, intent_ids: Collection[str]) -> Mapping[str, tuple[RiskDecision, ...]]:
        """What the gate said to these intents, oldest first."""
        found: defaultdict[str, list[RiskDecision]] = defaultdict(list)
        query = select(risk_decisions).where(risk_decisions.c.intent_id.in_(intent_ids))
        for row in await self._all(query.order_by(risk_decisions.c.intent_id, risk_decisions.c.sequence)):
            found[row["intent_id"]].append(decision_of(row))
        return {key: tuple(rows) for key, rows in found.items()}

    async def approvals_of(self, intent_ids: Collection[str]) -> Mapping[str, Approval]:
        """The approvals that were asked for these intents."""
        rows = await self._all(select(approvals).where(approvals.c.intent_id.in_(intent_ids)))
        return {row["intent_id"]: Approval(**row) for row in rows}

    async def risk_changes(
        self, account_id: str, *, limit: int, before: int | None = None
    ) -> tuple[tuple[int, RiskStateChange], ...]:
        """Changes of the trading state, newest first, each with its number."""
        query = select(risk_state_changes).where(risk_state_changes.c.account_id == account_id)
        if before is not None:
            query = query.where(risk_state_changes.c.id < before)
        rows = await self._all(query.order_by(risk_state_changes.c.id.desc()).limit(limit))
        return tuple((row["id"], RiskStateChange(**without(row, "id"))) for row in rows)

    async def count_worth(self, account_id: str, *, since: datetime | None = None, until: datetime | None = None) -> int:
        """After how many runs the account was valued in a time."""
        query = _within(select(func.count().label("count")), account_id, since, until)
        row = await self._one(query)
        return 0 if row is None else int(row["count"])

    async def worth(
        self,
        account_id: str,
        *,
        limit: int,
        after: WorthMark | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> tuple[WorthRow, ...]:
        """What the account was worth, oldest first.

        Args:
            since, until: both included.
        """
        table = portfolio_snapshots.c
        query = _within(select(table.at, table.run_id, table.equity, table.cash), account_id, since, until)
        if after is not None:
            at, run_id = after
            query = query.where(table.at >= at, or_(table.at > at, table.run_id > run_id))
        rows = await self._all(query.order_by(table.at, table.run_id).limit(limit))
        return tuple(WorthRow(**row) for row in rows)

    async def first_snapshot(self, account_id: str) -> str | None:
        """The hash of what the account's first cycle knew; None before there was one."""
        query = select(runs.c.snapshot_hash).where(runs.c.account_id == account_id, runs.c.snapshot_hash.is_not(None))
        row = await self._one(query.order_by(runs.c.sequence).limit(1))
        return None if row is None else str(row["snapshot_hash"])

    async def last_snapshot(self, account_id: str) -> str | None:
        """The hash of what the account's last cycle knew; None before there was one."""
        query = select(runs.c.snapshot_hash).where(runs.c.account_id == account_id, runs.c.snapshot_hash.is_not(None))
        row = await self._one(query.order_by(runs.c.sequence.desc()).limit(1))
        return None if row is None else str(row["snapshot_hash"])

    async def last_session(self, account_id: str) -> str | None:
        """The id of the session whose run on the account was begun last; None when none was."""
        query = select(runs.c.session_id).where(runs.c.account_id == account_id, runs.c.session_id.is_not(None))
        row = await self._one(query.order_by(runs.c.sequence.desc()).limit(1))
        return None if row is None else str(row["session_id"])


def _matching(query: Select[tuple[object, ...]], wanted: Mapping[ColumnElement[str], str | None]) -> Select[tuple[object, ...]]:
    for column, value in wanted.items():
        if value is not None:
            query = query.where(column == value)
    return query


def _older(marks: tuple[ColumnElement[object], ...], than: tuple[object, ...]) -> ColumnElement[bool]:
    """Rows that come after a mark where the newest come first: SQLite's row values and PostgreSQL's bind types differ."""
    column, value = marks[0], than[0]
    if len(marks) == 1:
        return column < value
    return and_(column <= value, or_(column < value, _older(marks[1:], than[1:])))


def _within(
    query: Select[tuple[object, ...]], account_id: str, since: datetime | None, until: datetime | None
) -> Select[tuple[object, ...]]:
    query = query.where(portfolio_snapshots.c.account_id == account_id)
    if since is not None:
        query = query.where(portfolio_snapshots.c.at >= since)
    if until is not None:
        query = query.where(portfolio_snapshots.c.at <= until)
    return query
