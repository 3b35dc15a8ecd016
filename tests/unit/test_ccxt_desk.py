"""A desk over the ccxt adapter and real HTTP: fills, lost answers and a restart, each order once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from data_channels.market.live import LiveFeed
from tests.unit.desk_cases import ACCOUNT, LIMITS, OPERATOR, RUN, RUNNER, TRADER, buy, migrated
from tests.venues.binance import LOCAL
from tests.venues.engine_types import Side as VenueSide
from tests.venues.faults import ERROR_BEFORE, REPLY_LOST
from tests.venues.local import Local, opened, serving
from tests.venues.server import VenueServer
from tests.waiting import until
from trading_core.domain.intents import TradeIntent
from trading_core.domain.orders import Order, OrderState
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.desk import Desk, Synced
from trading_core.execution.forms import WorkingStyle
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.session import Database
from trading_core.risk.limits_book import LimitsBook

D = Decimal
BTC = LOCAL.symbol


@pytest.fixture(scope="module")
def server() -> Iterator[VenueServer]:
    with serving(LOCAL) as running:
        yield running


@asynccontextmanager
async def desk_over(local: Local, database: Database) -> AsyncIterator[Desk]:
    feed = LiveFeed("binance", [BTC], clock=local.clock, base_url=local.server.base_url)
    desk = Desk(
        account_id=ACCOUNT,
        database=database,
        broker=local.broker,
        feed=feed,
        clock=local.clock,
        limits=LimitsBook(desk=LIMITS),
        instruments=await local.broker.instruments(),
        principals={who.name: who for who in (TRADER, OPERATOR)},
    )
    try:
        await desk.sync(RUNNER)
        yield desk
    finally:
        await feed.close()


@asynccontextmanager
async def ledger(folder: Path) -> AsyncIterator[Database]:
    await migrated(folder / "ledger.db")
    async with await Database.open(folder / "ledger.db") as database:
        now = datetime.now(UTC)
        async with database.transaction() as uow:
            await uow.portfolios.open_account(Portfolio.opened(ACCOUNT, "USDT", D(100_000)), "binance", now)
            await uow.runs.start(RunRecord(RUN, ACCOUNT, RunKind.CYCLE, now, now))
        yield database


def entry(leg: str, price: int = 50_001) -> TradeIntent:
    """A limit buy of 0.1 BTC; at 50,001 it takes."""
    at = datetime.now(UTC)
    return replace(buy("0.1", leg), limit_price=D(price), stop_price=D(35_000), created_at=at)


async def send(desk: Desk, intent: TradeIntent) -> Order:
    await desk.propose(TRADER, intent)
    sent = await desk.submit(TRADER, intent.intent_id, WorkingStyle.NOW)
    assert isinstance(sent, Order), sent.failed
    return sent


async def test_a_desk_trades_through_lost_answers_and_a_restart_without_sending_twice(
    server: VenueServer, tmp_path: Path
) -> None:
    async with opened(LOCAL, server) as local, ledger(tmp_path) as database:
        async with desk_over(local, database) as desk:
            taken = await send(desk, entry("taken"))
            server.faults.queue("place", REPLY_LOST)
            lost = await send(desk, entry("lost", 48_500))
            assert lost.state is OrderState.UNKNOWN
            synced = await desk.sync(RUNNER)
            assert {fill.client_order_id for fill in synced.fills} == {taken.client_order_id}
            # What was bought is under a stop, at the venue too; the lost order was found, and is live.
            live = {report.client_order_id for report in await local.broker.open_orders()}
            stops = {order.client_order_id for order in synced.placed}
            assert stops
            assert live == stops | {lost.client_order_id}
        local.exchange.trade_at(BTC, VenueSide.SELL, D(48_500), D("0.04"))
        restarted = replace(local, broker=await local.anew())
        try:
            async with desk_over(restarted, database) as again:
                async with database.transaction() as uow:
                    found = await uow.orders.get(lost.client_order_id)
                assert found is not None
                assert (found.state, found.filled) == (OrderState.PARTIALLY_FILLED, D("0.04"))
                server.faults.queue("place", ERROR_BEFORE)
                unsent = await send(again, entry("unsent", 47_900))
                assert unsent.state is OrderState.UNKNOWN
        finally:
            await restarted.broker.close()
        placed = [order.ticket.client_id for order in local.exchange.orders_of("desk")]
        assert len(placed) == len(set(placed))
        assert unsent.client_order_id not in placed


async def test_a_desk_that_listens_books_a_fill_and_places_its_stop_without_reading(server: VenueServer, tmp_path: Path) -> None:
    async with opened(LOCAL, server) as local, ledger(tmp_path) as database, desk_over(local, database) as desk:
        heard: list[Synced] = []

        async def listen() -> None:
            async for each in desk.listen(RUNNER):
                if isinstance(each, Synced):
                    heard.append(each)

        async def filled(quantity: str) -> None:
            await until(lambda: sum(fill.quantity for each in heard for fill in each.fills) == D(quantity), lambda: str(heard))

        task = asyncio.create_task(listen())
        await until(lambda: heard)  # the first reading, when the stream is open
        rests = await send(desk, entry("rests", 48_500))
        readings = server.count("trades")
        local.exchange.trade_at(BTC, VenueSide.SELL, D(48_500), D("0.04"))
        await filled("0.04")
        assert server.count("trades") == readings
        stops = [order for each in heard for order in each.placed]
        assert sum(stop.request.quantity for stop in stops) <= D("0.04")
        server.faults.streams.double(4)
        local.exchange.trade_at(BTC, VenueSide.SELL, D(48_500), D("0.05"))
        await filled("0.09")
        # What is missed while the line is down is read when it is up again.
        server.faults.streams.drop()
        local.exchange.trade_at(BTC, VenueSide.SELL, D(48_500), D("0.01"))
        await filled("0.1")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        async with database.reading() as uow:
            done = await uow.orders.get(rests.client_order_id)
        assert done is not None
        assert done.state is OrderState.FILLED
        assert await desk.agrees(RUNNER)
