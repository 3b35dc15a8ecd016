"""What the ccxt adapter reads of a local Coinbase: its past, its stream, its clock and its prices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_channels.market.live import LiveFeed
from tests.venues.coinbase import LOCAL
from tests.venues.coinbase_requests import Asked
from tests.venues.engine_types import Kind, Ticket
from tests.venues.engine_types import Side as VenueSide
from tests.venues.faults import REPLY_LOST
from tests.venues.local import ACCOUNT, Local, opened, serving
from tests.venues.server import Key, VenueServer, wall_clock_ms
from tests.waiting import until
from trading_core.brokers.base import Missed, OrderReport, Update
from trading_core.brokers.venues.client import Credentials
from trading_core.brokers.venues.history import read_all
from trading_core.domain.errors import AmbiguousOutcome, BrokerUnavailable
from trading_core.domain.orders import OrderRequest, OrderState, OrderType, Side

D = Decimal
BTC = LOCAL.symbol
LIMIT = D(40_000)
HALF = D("0.5")


@pytest.fixture(scope="module")
def server() -> Iterator[VenueServer]:
    with serving(LOCAL) as running:
        yield running


@pytest.fixture
async def local(server: VenueServer) -> AsyncGenerator[Local, None]:
    async with opened(LOCAL, server) as x:
        await x.broker.open()
        yield x


def resting(key: str = "c1", price: Decimal = LIMIT, quantity: Decimal = HALF) -> OrderRequest:
    return OrderRequest(key, BTC, Side.BUY, OrderType.LIMIT, quantity, limit_price=price)


def market(key: str, side: Side = Side.BUY, quantity: Decimal = HALF) -> OrderRequest:
    return OrderRequest(key, BTC, side, OrderType.MARKET, quantity)


def key_of(name: str) -> Key:
    return next(key for key in LOCAL.keys if key.key == name)


# The past


async def test_a_new_process_finds_orders_and_fills_under_the_desks_ids(local: Local) -> None:
    await local.broker.place(resting())
    await local.broker.place(market("c2", quantity=D("0.1")))
    again = await local.anew()
    try:
        assert [report.client_order_id for report in await again.open_orders()] == ["c1"]
        assert {fill.client_order_id for fill in await again.fills(since=local.began_at)} == {"c2"}
        assert (await again.cancel("c1", BTC)).state is OrderState.CANCELLED
        ended = await again.order("c2", BTC)
    finally:
        await again.close()
    assert ended is not None
    assert (ended.state, ended.filled) == (OrderState.FILLED, D("0.1"))


async def test_more_fills_than_a_page_are_all_read_though_many_share_an_instant(local: Local) -> None:
    lot, levels = D("0.001"), 250
    local.exchange.quote(BTC, [], [(D(50_001) + step, lot) for step in range(levels)])
    await local.broker.place(market("c1", quantity=lot * levels))
    fills = await local.broker.fills(since=local.began_at)
    assert len({fill.trade_id for fill in fills}) == levels
    assert sum(fill.quantity for fill in fills) == lot * levels
    assert local.server.count("trades") == 3


@given(instants=st.lists(st.integers(0, 3), max_size=40), size=st.integers(1, 7))
def test_pages_that_a_cursor_joins_hold_each_row_once(instants: list[int], size: int) -> None:
    """However many rows share an instant, and wherever a page is cut."""
    rows = [{"id": str(number), "symbol": BTC, "side": "buy", "timestamp": at} for number, at in enumerate(instants)][::-1]
    numbers = list(range(len(rows), 0, -1))

    async def ask(first: int, last: int, limit: int, more: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
        page, cursor = Asked(LOCAL.keys[0], {name: [str(value)] for name, value in more.items()}, {}, {}).page(
            rows, numbers, size
        )
        return [{**row, "info": {"cursor": cursor} if row is page[0] else {}} for row in page]

    now = datetime.now(UTC)
    read = asyncio.run(read_all(ask, LOCAL.profile.history, since=now - timedelta(days=1), until=now))
    assert sorted(int(str(row["id"])) for row in read) == list(range(len(instants)))


async def test_a_cursor_that_leads_back_is_no_end_of_the_past() -> None:
    now = datetime.now(UTC)
    pages = [{"id": str(number), "symbol": BTC, "side": "buy", "info": {"cursor": str(number % 3)}} for number in range(9)]

    async def ask(first: int, last: int, limit: int, more: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
        return [pages.pop(0)]

    with pytest.raises(BrokerUnavailable, match="back to it, by its cursor '0'"):
        await read_all(ask, LOCAL.profile.history, since=now - timedelta(days=1), until=now)
    assert len(pages) == 5


async def test_an_old_order_is_found_behind_many_younger_ones(local: Local) -> None:
    local.server.faults.queue("place", REPLY_LOST)
    with pytest.raises(AmbiguousOutcome):
        await local.broker.place(market("c1", quantity=D("0.001")))
    for number in range(240):
        ticket = Ticket(ACCOUNT, BTC, VenueSide.BUY, Kind.MARKET, f"x{number}", D("0.0001"))
        local.exchange.place(ticket)
    found = await local.broker.order("c1", BTC)
    assert found is not None
    assert (found.state, found.filled) == (OrderState.FILLED, D("0.001"))


async def test_all_live_orders_are_told_up_to_what_the_venue_gives(local: Local) -> None:
    def rest(number: int) -> None:
        local.exchange.place(Ticket(ACCOUNT, BTC, VenueSide.BUY, Kind.LIMIT, f"x{number}", D("0.0001"), limit=D(20_000)))

    for number in range(999):
        rest(number)
    assert len(await local.broker.open_orders()) == 999
    rest(999)
    with pytest.raises(BrokerUnavailable, match="tells no more"):
        await local.broker.open_orders()


# Streams


async def told(updates: AsyncGenerator[Update, None], count: int) -> list[Update]:
    """So many updates that are not only "read it"."""
    found: list[Update] = []
    async with asyncio.timeout(30):
        async for update in updates:
            if not isinstance(update, Missed):
                found.append(update)
            if len(found) == count:
                break
    return found


async def test_orders_are_told_as_they_are_read_and_their_fills_are_read(local: Local) -> None:
    updates = cast(AsyncGenerator[Update, None], local.broker.updates())
    assert await anext(updates) == Missed()
    await local.broker.place(resting())
    local.exchange.trade_at(BTC, VenueSide.SELL, LIMIT, D("0.2"))
    reports = await told(updates, 2)
    assert [(report.state, report.filled) for report in reports if isinstance(report, OrderReport)] == [
        (OrderState.OPEN, D(0)),
        (OrderState.PARTIALLY_FILLED, D("0.2")),
    ]
    assert reports[-1] == await local.broker.order("c1", BTC)
    assert [fill.quantity for fill in await local.broker.fills(since=local.began_at)] == [D("0.2")]
    await updates.aclose()


async def test_a_quiet_stream_is_kept_open_by_its_heartbeat(local: Local) -> None:
    updates = cast(AsyncGenerator[Update, None], local.broker.updates())
    assert await anext(updates) == Missed()
    await until(lambda: sum(len(stream.heard) for stream in local.server.streams) >= 2)
    (stream,) = local.server.streams
    assert {message["channel"] for message in stream.heard if isinstance(message, dict)} == {"user", "heartbeats"}
    await updates.aclose()


# Time, permissions, prices


@pytest.mark.parametrize("skew_ms", [150_000, -150_000])
async def test_a_venue_whose_clock_differs_is_followed(server: VenueServer, skew_ms: int) -> None:
    async with opened(LOCAL, server) as x:
        server.venue.skew_ms = skew_ms
        assert (await x.broker.balances())["USD"].free == 100_000
        assert (await x.broker.place(resting())).state is OrderState.OPEN


@pytest.mark.parametrize("step_ms", [150_000, -150_000])
async def test_a_clock_that_steps_is_measured_anew_by_a_read(local: Local, step_ms: int) -> None:
    """Coinbase answers a token of the wrong time as it does one of a wrong key: not authorised, and no more."""
    local.server.venue.skew_ms = step_ms
    assert (await local.broker.balances())["USD"].free == 100_000
    assert local.server.count("balance") == 2
    assert (await local.broker.place(resting())).state is OrderState.OPEN


@pytest.mark.parametrize("ahead_ms", [90_000, -90_000])
async def test_a_lost_order_is_found_in_the_past_of_a_venue_whose_clock_differs(server: VenueServer, ahead_ms: int) -> None:
    async with opened(LOCAL, server) as x:
        x.exchange.clock = lambda: wall_clock_ms() + ahead_ms
        await x.broker.open()
        server.faults.queue("place", REPLY_LOST)
        with pytest.raises(AmbiguousOutcome):
            await x.broker.place(market("c1"))
        found = await x.broker.order("c1", BTC)
        assert found is not None
        assert (found.state, found.filled) == (OrderState.FILLED, HALF)
        if ahead_ms > 0:
            assert len(await x.broker.fills(since=x.began_at)) == 1


@pytest.mark.parametrize(
    ("name", "can_trade", "can_withdraw"), [("key", True, False), ("reader", False, False), ("treasurer", True, True)]
)
async def test_it_tells_what_its_key_may_do(local: Local, name: str, *, can_trade: bool, can_withdraw: bool) -> None:
    broker = await local.anew(Credentials(name, key_of(name).secret))
    try:
        may = await broker.permissions()
    finally:
        await broker.close()
    assert (may.can_read, may.can_trade, may.can_withdraw) == (True, can_trade, can_withdraw)


async def test_the_live_feed_reads_its_prices(local: Local) -> None:
    feed = LiveFeed("coinbase", [BTC], clock=local.clock, base_url=local.server.base_url)
    try:
        ticker = await feed.ticker(BTC, as_of=datetime.now(UTC))
        assert (ticker.bid, ticker.ask, ticker.last) == (D("49999.99"), D("50000.01"), D(50_000))
        assert ticker.at >= local.began_at - timedelta(seconds=1)
        assert (await feed.instruments())[BTC].tick_size == D("0.01")
    finally:
        await feed.close()
