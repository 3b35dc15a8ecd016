"""The ccxt adapter over real HTTP against a local Binance: the broker port's promises, and what is lost on the way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import pytest

from tests.unit.conformance_broker import BrokerConformance, Venue
from tests.venues.binance import LOCAL
from tests.venues.engine_types import Fees
from tests.venues.engine_types import Side as VenueSide
from tests.venues.faults import (
    BAD_KEY,
    BROKEN_BODY,
    ERROR_AFTER,
    ERROR_BEFORE,
    HTML_200,
    HTML_BEFORE,
    NO_PERMISSION,
    REPLY_LOST,
    RESET_AFTER,
    RESET_BEFORE,
    Fault,
    rate_limited,
    skewed,
)
from tests.venues.local import Local, opened, serving
from tests.venues.server import VenueServer
from trading_core.brokers.venues.client import Credentials
from trading_core.domain.errors import AmbiguousOutcome, BrokerUnavailable, OrderRefused
from trading_core.domain.orders import OrderRequest, OrderState, OrderType, Side, TimeInForce

BTC = LOCAL.symbol
LIMIT = Decimal(40_000)


@pytest.fixture(scope="module")
def server() -> Iterator[VenueServer]:
    with serving(LOCAL) as running:
        yield running


class TestBinance(BrokerConformance):
    @pytest.fixture
    async def venue(self, server: VenueServer) -> AsyncIterator[Venue]:
        async with opened(LOCAL, server) as x:

            async def settle() -> None:
                return None

            yield Venue(x.broker, BTC, Decimal("0.5"), LIMIT, x.began_at, settle)


@pytest.fixture
async def local(server: VenueServer) -> AsyncIterator[Local]:
    async with opened(LOCAL, server) as x:
        await x.broker.open()
        yield x


def resting(key: str = "c1", price: Decimal = LIMIT, quantity: str = "0.5") -> OrderRequest:
    return OrderRequest(key, BTC, Side.BUY, OrderType.LIMIT, Decimal(quantity), limit_price=price)


@pytest.mark.parametrize("fault", [REPLY_LOST, RESET_AFTER, ERROR_AFTER, BROKEN_BODY, HTML_200], ids=lambda fault: fault.name)
async def test_an_answer_lost_after_execution_is_ambiguous_and_found_by_its_id(local: Local, fault: Fault) -> None:
    local.server.faults.queue("place", fault)
    with pytest.raises(AmbiguousOutcome, match="c1"):
        await local.broker.place(resting())
    found = await local.broker.order("c1", BTC)
    assert found is not None
    assert (found.state, found.filled) == (OrderState.OPEN, 0)
    assert local.server.count("place") == 1


@pytest.mark.parametrize(
    "fault", [RESET_BEFORE, ERROR_BEFORE, HTML_BEFORE, rate_limited(), rate_limited(1)], ids=lambda fault: fault.name
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
    local.server.faults.queue("balance", ERROR_BEFORE, RESET_BEFORE)
    assert (await local.broker.balances())["USDT"].free == 100_000
    assert local.server.count("balance") == 3
    local.server.faults.always(ERROR_BEFORE, "balance")
    with pytest.raises(BrokerUnavailable, match="balances"):
        await local.broker.balances()
    assert local.server.count("balance") == 6
    assert local.clock.slept
    assert all(0 <= seconds <= 2 for seconds in local.clock.slept)


@pytest.mark.parametrize("fault", [ERROR_BEFORE, HTML_200, BROKEN_BODY, rate_limited(0)], ids=lambda fault: fault.name)
async def test_a_failed_read_is_never_an_absent_order(local: Local, fault: Fault) -> None:
    await local.broker.place(resting())
    local.server.faults.always(fault, "order", "open_orders", "trades")
    for read in (local.broker.order("c1", BTC), local.broker.open_orders(), local.broker.fills(since=local.began_at)):
        with pytest.raises(BrokerUnavailable):
            await read


async def test_partial_fills_are_told_and_the_rest_can_be_cancelled(local: Local) -> None:
    await local.broker.place(resting())
    local.exchange.trade_at(BTC, VenueSide.SELL, LIMIT, Decimal("0.2"))
    report = await local.broker.order("c1", BTC)
    assert report is not None
    assert (report.state, report.filled) == (OrderState.PARTIALLY_FILLED, Decimal("0.2"))
    ended = await local.broker.cancel("c1", BTC)
    assert (ended.state, ended.filled) == (OrderState.CANCELLED, Decimal("0.2"))
    fills = await local.broker.fills(since=local.began_at)
    assert [(fill.quantity, fill.price, fill.is_maker) for fill in fills] == [(Decimal("0.2"), LIMIT, True)]


async def test_a_cancel_that_loses_the_race_tells_the_fill(local: Local) -> None:
    await local.broker.place(resting())
    local.exchange.trade_at(BTC, VenueSide.SELL, LIMIT, Decimal("0.5"))
    report = await local.broker.cancel("c1", BTC)
    assert (report.state, report.filled) == (OrderState.FILLED, Decimal("0.5"))


async def test_a_cancel_without_an_answer_is_ambiguous_and_may_be_asked_again(local: Local) -> None:
    await local.broker.place(resting())
    local.server.faults.queue("cancel", ERROR_AFTER)
    with pytest.raises(AmbiguousOutcome):
        await local.broker.cancel("c1", BTC)
    assert local.server.count("cancel") == 1
    assert (await local.broker.cancel("c1", BTC)).state is OrderState.CANCELLED


async def test_a_new_process_finds_orders_and_fills_under_the_desks_ids(local: Local) -> None:
    await local.broker.place(resting())
    await local.broker.place(OrderRequest("c2", BTC, Side.BUY, OrderType.MARKET, Decimal("0.1")))
    again = await local.anew()
    try:
        assert [report.client_order_id for report in await again.open_orders()] == ["c1"]
        assert {fill.client_order_id for fill in await again.fills(since=local.began_at)} == {"c2"}
        assert (await again.cancel("c1", BTC)).state is OrderState.CANCELLED
    finally:
        await again.close()


async def test_stops_rest_trigger_and_cancel(local: Local) -> None:
    await local.broker.place(OrderRequest("c1", BTC, Side.BUY, OrderType.MARKET, Decimal("0.2")))
    held = (await local.broker.balances())["BTC"].free
    half = (await local.broker.instruments())[BTC].floor_quantity(held / 2)
    for key in ("s1", "s2"):
        stop = OrderRequest(key, BTC, Side.SELL, OrderType.STOP, half, stop_price=Decimal(45_000))
        assert (await local.broker.place(stop)).state is OrderState.OPEN
    assert (await local.broker.cancel("s2", BTC)).state is OrderState.CANCELLED
    local.exchange.move(BTC, Decimal(44_000))
    report = await local.broker.order("s1", BTC)
    assert report is not None
    assert (report.state, report.filled) == (OrderState.FILLED, half)


async def test_an_immediate_order_expires_with_what_it_did_not_get(local: Local) -> None:
    local.exchange.quote(BTC, [], [(Decimal(50_001), Decimal("0.1"))])
    order = OrderRequest("c1", BTC, Side.BUY, OrderType.LIMIT, Decimal("0.3"), Decimal(50_001), time_in_force=TimeInForce.IOC)
    await local.broker.place(order)
    report = await local.broker.order("c1", BTC)
    assert report is not None
    assert (report.state, report.filled) == (OrderState.EXPIRED, Decimal("0.1"))


async def test_a_post_only_order_that_would_take_is_refused(local: Local) -> None:
    order = OrderRequest(
        "c1", BTC, Side.BUY, OrderType.LIMIT, Decimal("0.3"), Decimal(51_000), time_in_force=TimeInForce.POST_ONLY
    )
    with pytest.raises(OrderRefused):
        await local.broker.place(order)


async def test_a_venue_whose_clock_differs_is_followed(local: Local) -> None:
    local.server.venue.skew_ms = 30_000
    assert (await local.broker.balances())["USDT"].free == 100_000


async def test_a_wrong_secret_is_one_clear_line(local: Local) -> None:
    broker = await local.anew(Credentials("key", "another"))
    try:
        with pytest.raises(BrokerUnavailable, match="Binance did not give the balances: AuthenticationError"):
            await broker.balances()
    finally:
        await broker.close()


async def test_fees_in_a_third_coin_are_booked_in_it(server: VenueServer) -> None:
    async with opened(LOCAL, server, Fees(taken_in="BNB", coin_price=Decimal(600))) as x:
        x.exchange.deposit("desk", "BNB", Decimal(10))
        await x.broker.place(OrderRequest("c1", BTC, Side.BUY, OrderType.MARKET, Decimal("0.1")))
        fills = await x.broker.fills(since=x.began_at)
        paid = sum(fill.fee.amount for fill in fills)
        assert {fill.fee.asset for fill in fills} == {"BNB"}
        assert paid > 0
        assert (await x.broker.balances())["BNB"].free == 10 - paid
