"""The ccxt adapter over real HTTP against a local Bybit: the broker port's promises, and what is lost on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import pytest

from data_channels.market.live import LiveFeed
from tests.unit.bybit_cases import market, order, resting
from tests.unit.conformance_broker import BrokerConformance, Venue
from tests.venues.bybit import LOCAL
from tests.venues.engine_types import Fees, Print
from tests.venues.engine_types import Side as VenueSide
from tests.venues.faults import (
    BAD_KEY,
    BROKEN_BODY,
    DOUBLED,
    ERROR_AFTER,
    ERROR_BEFORE,
    HTML_200,
    HTML_BEFORE,
    NO_PERMISSION,
    REORDERED,
    REPLY_LOST,
    RESET_AFTER,
    RESET_BEFORE,
    Fault,
    banned,
    maintenance,
    rate_limited,
    skewed,
)
from tests.venues.local import ACCOUNT, Local, opened, serving
from tests.venues.server import Stream, VenueServer
from tests.waiting import until
from trading_core.brokers.base import Missed, OrderReport, Update
from trading_core.brokers.venues.client import Credentials
from trading_core.domain.clock import to_ms
from trading_core.domain.errors import AmbiguousOutcome, BrokerUnavailable, OrderRefused
from trading_core.domain.market import Timeframe
from trading_core.domain.money import Money
from trading_core.domain.orders import Fill, OrderState, Side

BTC = LOCAL.symbol
D = Decimal


@pytest.fixture(scope="module")
def server() -> Iterator[VenueServer]:
    with serving(LOCAL) as running:
        yield running


class TestBybit(BrokerConformance):
    @pytest.fixture
    async def venue(self, server: VenueServer) -> AsyncIterator[Venue]:
        async with opened(LOCAL, server) as x:

            async def settle() -> None:
                return None

            yield Venue(x.broker, BTC, D("0.5"), D(40_000), x.began_at, settle)


@pytest.fixture
async def local(server: VenueServer) -> AsyncIterator[Local]:
    async with opened(LOCAL, server) as x:
        await x.broker.open()
        yield x


# What is lost on the way


@pytest.mark.parametrize("fault", [REPLY_LOST, RESET_AFTER, ERROR_AFTER, BROKEN_BODY, HTML_200], ids=lambda fault: fault.name)
async def test_an_answer_lost_after_execution_is_ambiguous_and_found_by_its_id(local: Local, fault: Fault) -> None:
    local.server.faults.queue("place", fault)
    with pytest.raises(AmbiguousOutcome, match="c1"):
        await local.broker.place(resting())
    found = await order(local, "c1")
    assert (found.state, found.filled) == (OrderState.OPEN, D(0))
    assert local.server.count("place") == 1


@pytest.mark.parametrize(
    "fault",
    [RESET_BEFORE, ERROR_BEFORE, HTML_BEFORE, rate_limited(), rate_limited(1), banned(), maintenance()],
    ids=lambda fault: fault.name,
)
async def test_a_write_that_never_arrived_proves_nothing_until_the_venue_is_asked(local: Local, fault: Fault) -> None:
    local.server.faults.queue("place", fault)
    with pytest.raises(AmbiguousOutcome):
        await local.broker.place(resting())
    assert await local.broker.order("c1", BTC) is None
    assert local.server.count("place") == 1


@pytest.mark.parametrize("fault", [NO_PERMISSION, BAD_KEY, skewed(60_000), skewed(-60_000)], ids=str)
async def test_what_the_venue_turns_away_is_refused(local: Local, fault: Fault) -> None:
    local.server.faults.queue("place", fault)
    with pytest.raises(OrderRefused):
        await local.broker.place(resting())
    assert await local.broker.order("c1", BTC) is None


async def test_a_read_is_tried_three_times_and_a_write_once(local: Local) -> None:
    local.server.faults.queue("balance", ERROR_BEFORE, rate_limited())
    assert (await local.broker.balances())["USDT"].free == 100_000
    assert local.server.count("balance") == 3
    local.server.faults.always(ERROR_BEFORE, "balance")
    with pytest.raises(BrokerUnavailable, match="balances"):
        await local.broker.balances()
    assert local.server.count("balance") == 6


@pytest.mark.parametrize("fault", [ERROR_BEFORE, HTML_200, BROKEN_BODY, rate_limited(0)], ids=lambda fault: fault.name)
async def test_a_failed_read_is_never_an_absent_order(local: Local, fault: Fault) -> None:
    await local.broker.place(resting())
    local.server.faults.always(fault, "order", "open_orders", "orders", "trades")
    for read in (local.broker.order("c1", BTC), local.broker.open_orders(), local.broker.fills(since=local.began_at)):
        with pytest.raises(BrokerUnavailable):
            await read


async def test_a_listing_that_doubles_or_turns_round_books_each_fill_once(local: Local) -> None:
    for index in range(3):
        await local.broker.place(market(f"c{index}", "0.1"))
    told = await local.broker.fills(since=local.began_at)
    local.server.faults.queue("trades", DOUBLED, REORDERED)
    assert await local.broker.fills(since=local.began_at) == told
    assert await local.broker.fills(since=local.began_at) == told


# The account


async def test_a_venue_whose_clock_differs_is_followed(local: Local) -> None:
    local.server.venue.skew_ms = 30_000
    assert (await local.broker.balances())["USDT"].free == 100_000


@pytest.mark.parametrize(("key", "secret"), [("key", "another"), ("nobody", "secret")])
async def test_a_wrong_key_is_one_clear_line(local: Local, key: str, secret: str) -> None:
    broker = await local.anew(Credentials(key, secret))
    try:
        with pytest.raises(BrokerUnavailable, match="Bybit did not give the balances: AuthenticationError"):
            await broker.balances()
    finally:
        await broker.close()


async def test_a_key_that_may_only_read_reads_and_is_refused_to_trade(local: Local) -> None:
    broker = await local.anew(Credentials("reader", "secret"))
    try:
        assert (await broker.balances())["USDT"].free == 100_000
        with pytest.raises(OrderRefused, match="PermissionDenied"):
            await broker.place(resting())
    finally:
        await broker.close()


async def test_a_sale_pays_its_fee_in_quote_and_a_purchase_in_base(local: Local) -> None:
    await local.broker.place(market("c1", "0.1"))
    await local.broker.place(market("c2", "0.05", Side.SELL))
    bought, sold = await local.broker.fills(since=local.began_at)
    assert bought.fee == Money(D("0.0001"), "BTC")
    assert sold.fee == Money(sold.notional * D("0.001"), "USDT")


async def test_fees_in_a_third_coin_are_booked_in_it(server: VenueServer) -> None:
    async with opened(LOCAL, server, Fees(taken_in="MNT", coin_price=D(1))) as x:
        x.exchange.deposit(ACCOUNT, "MNT", D(10))
        await x.broker.place(market("c1", "0.1"))
        fills = await x.broker.fills(since=x.began_at)
        assert {fill.fee.asset for fill in fills} == {"MNT"}
        assert (await x.broker.balances())["MNT"].free == 10 - sum(fill.fee.amount for fill in fills)


async def test_the_desks_market_feed_reads_it(local: Local) -> None:
    now = local.clock.now()
    local.exchange.tape[BTC].insert(0, Print(0, to_ms(now) - 3 * 60_000, D(48_000), D(2), VenueSide.BUY))
    feed = LiveFeed("bybit", [BTC], clock=local.clock, base_url=local.server.base_url)
    try:
        ticker = await feed.ticker(BTC, as_of=now)
        assert (ticker.bid, ticker.ask, ticker.last) == (D("49999.99"), D("50000.01"), D(50_000))
        bars = await feed.bars(BTC, Timeframe("1m"), as_of=now, limit=3)
        assert [(bar.close, bar.volume) for bar in bars] == [(D(48_000), D(2)), (D(48_000), D(0)), (D(48_000), D(0))]
        assert await feed.instruments() == await local.broker.instruments()
    finally:
        await feed.close()


# The stream


async def test_orders_and_fills_are_streamed_as_they_are_read(local: Local) -> None:
    told: list[Update] = []

    async def listen() -> None:
        async for update in local.broker.updates():
            told.append(update)

    listening = asyncio.create_task(listen())
    try:
        await until(lambda: {"order", "execution"} <= {topic for stream in local.server.streams for topic in topics_of(stream)})
        await until(lambda: bool(told))
        await local.broker.place(market("c1", "0.1"))
        await until(lambda: {Fill, OrderReport} <= {type(update) for update in told})
    finally:
        listening.cancel()
    assert isinstance(told[0], Missed)
    assert [update for update in told if isinstance(update, Fill)] == await local.broker.fills(since=local.began_at)
    last = [update for update in told if isinstance(update, OrderReport)][-1]
    assert last == await order(local, "c1")


def topics_of(stream: Stream) -> list[str]:
    asked = [said["args"] for said in stream.heard if isinstance(said, dict) and said.get("op") == "subscribe"]
    return [topic for topics in asked for topic in topics]
