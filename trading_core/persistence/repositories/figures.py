"""Counting what is on record. Every query is served by an index, so that being watched costs the desk little."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import func, select

from trading_core.domain.intents import ApprovalState
from trading_core.domain.orders import OrderState
from trading_core.persistence.figures import AccountFigures
from trading_core.persistence.records import OPEN_STATES, RunKind, RunState
from trading_core.persistence.repositories.base import Repository
from trading_core.persistence.tables import (
    account_risk,
    accounts,
    approvals,
    intents,
    orders,
    portfolio_snapshots,
    runs,
)


class FiguresRepository(Repository):
    async def of_accounts(self) -> tuple[AccountFigures, ...]:
        """Every account, by id."""
        known = await self._all(select(accounts.c.id, accounts.c.venue, accounts.c.currency).order_by(accounts.c.id))
        open_runs = await self._open_runs()
        by_state = await self._orders()
        waiting = await self._waiting()
        states = await self._all(select(account_risk.c.account_id, account_risk.c.content))
        trading = {row["account_id"]: str(row["content"]["trading_state"]) for row in states}
        found = []
        for row in known:
            account_id = row["id"]
            worth = await self._one(
                select(portfolio_snapshots.c.at, portfolio_snapshots.c.equity, portfolio_snapshots.c.cash)
                .where(portfolio_snapshots.c.account_id == account_id)
                .order_by(portfolio_snapshots.c.at.desc())
                .limit(1)
            )
            # Walked from the newest run: the last cycle that got done is near the end.
            cycle = await self._one(
                select(runs.c.ended_at)
                .where(runs.c.account_id == account_id, runs.c.state == RunState.DONE, runs.c.kind == RunKind.CYCLE)
                .order_by(runs.c.sequence.desc())
                .limit(1)
            )
            found.append(
                AccountFigures(
                    account_id=account_id,
                    venue=row["venue"],
                    currency=row["currency"],
                    trading_state=trading.get(account_id),
                    equity=worth["equity"] if worth else None,
                    cash=worth["cash"] if worth else None,
                    worth_at=worth["at"] if worth else None,
                    last_cycle_at=cycle["ended_at"] if cycle else None,
                    open_runs=open_runs[account_id],
                    orders=by_state[account_id],
                    approvals_pending=waiting.get(account_id, 0),
                )
            )
        return tuple(found)

    async def _open_runs(self) -> dict[str, dict[tuple[RunKind, RunState], int]]:
        query = select(runs.c.account_id, runs.c.kind, runs.c.state, func.count().label("count"))
        counted = query.where(runs.c.state.in_(OPEN_STATES)).group_by(runs.c.account_id, runs.c.kind, runs.c.state)
        found: dict[str, dict[tuple[RunKind, RunState], int]] = defaultdict(dict)
        for row in await self._all(counted):
            found[row["account_id"]][row["kind"], row["state"]] = int(row["count"])
        return found

    async def _orders(self) -> dict[str, dict[OrderState, int]]:
        query = select(orders.c.account_id, orders.c.state, func.count().label("count"))
        found: dict[str, dict[OrderState, int]] = defaultdict(dict)
        for row in await self._all(query.group_by(orders.c.account_id, orders.c.state)):
            found[row["account_id"]][row["state"]] = int(row["count"])
        return found

    async def _waiting(self) -> dict[str, int]:
        query = select(intents.c.account_id, func.count().label("count")).join(
            approvals, approvals.c.intent_id == intents.c.intent_id
        )
        rows = await self._all(query.where(approvals.c.state == ApprovalState.PENDING).group_by(intents.c.account_id))
        return {row["account_id"]: int(row["count"]) for row in rows}
