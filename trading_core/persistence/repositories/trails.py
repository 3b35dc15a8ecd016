"""A run read back whole: one query a table, each by an index on the run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from trading_core.persistence.records import IntentTrail, OrderTrail, RunRecord, RunTrail, SnapshotRecord
from trading_core.persistence.repositories.approvals import ApprovalsRepository
from trading_core.persistence.repositories.base import Repository
from trading_core.persistence.repositories.decisions import DecisionsRepository, EvidenceRepository
from trading_core.persistence.repositories.fills import FillsRepository
from trading_core.persistence.repositories.intents import IntentsRepository
from trading_core.persistence.repositories.orders import OrdersRepository
from trading_core.persistence.repositories.portfolios import PortfoliosRepository
from trading_core.persistence.tables import snapshots

Item = TypeVar("Item")


async def read_trail(connection: AsyncConnection, run: RunRecord) -> RunTrail:
    """Everything on record about `run`."""
    return RunTrail(
        run=run,
        snapshot=await _Snapshots(connection).of(run),
        decisions=await DecisionsRepository(connection).of_run(run.id),
        evidence=await EvidenceRepository(connection).of_run(run.id),
        intents=await _intents(connection, run.id),
        orders=await _orders(connection, run.id),
        portfolio=await PortfoliosRepository(connection).of_run(run.id),
    )


class _Snapshots(Repository):
    async def of(self, run: RunRecord) -> SnapshotRecord | None:
        if run.snapshot_hash is None:
            return None
        row = await self._one(select(snapshots).where(snapshots.c.hash == run.snapshot_hash))
        return None if row is None else SnapshotRecord(**row)


async def _intents(connection: AsyncConnection, run_id: str) -> tuple[IntentTrail, ...]:
    intents = IntentsRepository(connection)
    found = await intents.of_run(run_id)
    if not found:
        return ()
    said = _grouped(await intents.decisions_of_run(run_id), lambda decision: decision.intent_id)
    approvals = {approval.intent_id: approval for approval in await ApprovalsRepository(connection).of_run(run_id)}
    return tuple(IntentTrail(intent, tuple(said[intent.intent_id]), approvals.get(intent.intent_id)) for intent in found)


async def _orders(connection: AsyncConnection, run_id: str) -> tuple[OrderTrail, ...]:
    orders = OrdersRepository(connection)
    found = await orders.of_run(run_id)
    if not found:
        return ()
    events = _grouped(await orders.events_of_run(run_id), lambda event: event.client_order_id)
    fills = _grouped(await FillsRepository(connection).of_run(run_id), lambda fill: fill.client_order_id)
    return tuple(OrderTrail(order, tuple(events[order.client_order_id]), tuple(fills[order.client_order_id])) for order in found)


def _grouped(items: Iterable[Item], key: Callable[[Item], str]) -> defaultdict[str, list[Item]]:
    groups: defaultdict[str, list[Item]] = defaultdict(list)
    for item in items:
        groups[key(item)].append(item)
    return groups
