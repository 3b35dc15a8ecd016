"""A process that writes orders, many at once, and says which of them are committed: to be killed.

python -m tests.integration.order_writer LOCATION COUNT AT_ONCE
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from trading_core.domain.errors import StoreUnavailable
from trading_core.domain.intents import Check, RiskDecision, TradeIntent, Verdict
from trading_core.domain.orders import Order, OrderEvent, OrderRequest, OrderType, Purpose, Side
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database

AT = datetime(2025, 3, 1, tzinfo=UTC)
ACCOUNT, RUN = "paper", "r1"
INTENT = TradeIntent("", RUN, ACCOUNT, "t", Purpose.ENTRY, "BTC/USDT", Side.BUY, Decimal("0.1"), OrderType.MARKET, AT)


def client_order_id(number: int) -> str:
    return f"at{number}"


async def prepare(database: Database) -> None:
    """What every order refers to."""
    async with database.transaction() as uow:
        await uow.portfolios.open_account(Portfolio.opened(ACCOUNT, "USDT", Decimal(1000)), "paper", AT)
        await uow.runs.start(RunRecord(RUN, ACCOUNT, RunKind.CYCLE, AT, AT))


async def write(database: Database, number: int) -> None:
    """An intent, the gate's word and the order, then the venue's answer: two transactions, as the desk makes them."""
    intent = replace(INTENT, intent_id=f"i{number}")
    request = OrderRequest(client_order_id(number), intent.symbol, intent.side, intent.type, intent.quantity)
    order = Order(request, ACCOUNT, intent.intent_id, RUN, intent.purpose, AT)
    async with database.transaction() as uow:
        await uow.intents.add(intent)
        await uow.intents.add_decision(RiskDecision(intent.intent_id, Verdict.APPROVED, (Check("state", True, "a", "b"),), AT))
        await uow.orders.add(order)
    async with database.transaction() as uow:
        accepted = order.on(OrderEvent.ACCEPTED, at=AT, venue_order_id=f"v{number}")
        await uow.orders.update(order, accepted, OrderEvent.ACCEPTED)
    print(number, flush=True)


async def write_all(location: str, count: int, at_once: int) -> None:
    async with await Database.open(location) as database:
        await prepare(database)
        print("ready", flush=True)
        waiting = iter(range(count))

        async def worker() -> None:
            for number in waiting:
                await write(database, number)

        async with asyncio.TaskGroup() as workers:
            for _ in range(at_once):
                workers.create_task(worker())


if __name__ == "__main__":
    try:
        asyncio.run(write_all(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
    except* StoreUnavailable as gone:
        sys.exit(str(gone.exceptions[0]))
