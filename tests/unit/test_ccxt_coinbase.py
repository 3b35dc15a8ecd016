"""The ccxt adapter over real HTTP against a local Coinbase: the broker port's promises, and what is this venue's own."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from decimal import Decimal

import pytest

from tests.unit.conformance_broker import BrokerConformance, Venue
from tests.venues.coinbase import FEES, LOCAL
from tests.venues.coinbase_keys import pem
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
    banned,
    maintenance,
    rate_limited,
    skewed,
)
from tests.venues.local import ACCOUNT, Local, opened, serving
from tests.venues.server import Key, VenueServer
from trading_core.brokers.venues.client import Credentials
from trading_core.domain.errors import AmbiguousOutcome, BrokerUnavailable, OrderRefused
from trading_core.domain.orders import OrderRequest, OrderState, OrderType, Side, TimeInForce

D = Decimal
BTC = LOCAL.symbol
LIMIT = D(40_000)
HALF = D("0.5")


@pytest.fixture(scope="module")
def server() -> Iterator[VenueServer]:
    with serving(LOCAL) as running:
        yield running


class TestCoinbase(BrokerConformance):
    @pytest.fixture
    async def venue(self, server: VenueServer) -> AsyncIterator[Venue]:
        async with opened(LOCAL, server) as x:

            async def settle() -> None:
                return None

            yield Venue(x.broker, BTC, HALF, LIMIT, x.began_at, settle)


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


# Answers that are lost, and refusals


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
    "fault",
    [RESET_BEFORE, ERROR_BEFORE, HTML_BEFORE, rate_limited(), rate_limited(1), maintenance(), banned()],
    ids=lambda fault: fault.name,
)
async def test_a_write_that_never_arrived_proves_nothing_until_the_venue_is_asked(local: Local, fault: Fault) -> None:
    local.server.faults.queue("place", fault)
    with pytest.raises(AmbiguousOutcome):
        await local.broker.place(resting())
    assert await local.broker.order("c1", BTC) is None
    assert local.server.count("place") == 1


@pytest.mark.parametrize("fault", [NO_PERMISSION, BAD_KEY, skewed(180_000), skewed(-180_000)], ids=lambda fault: fault.name)
async def test_what_the_venue_turns_away_is_refused(local: Local, fault: Fault) -> None:
    local.server.faults.queue("place", fault)
    with pytest.raises(OrderRefused):
        await local.broker.place(resting())
    assert await local.broker.order("c1", BTC) is None


@pytest.mark.parametrize(
    ("key", "secret"), [("nobody", pem(7)), ("key", pem(8)), ("key", "another")], ids=["name", "pem", "no pem"]
)
async def test_a_wrong_key_is_one_clear_line(local: Local, key: str, secret: str) -> None:
    broker = await local.anew(Credentials(key, secret))
    try:
        with pytest.raises(BrokerUnavailable, match="Coinbase did not give its markets: AuthenticationError") as failed:
            await broker.balances()
        assert "\n" not in str(failed.value)
        with pytest.raises(OrderRefused, match="filters are not known"):
            await broker.place(resting())
    finally:
        await broker.close()


async def test_a_key_that_only_reads_reads_and_is_refused_orders(local: Local) -> None:
    reader = await local.anew(Credentials("reader", key_of("reader").secret))
    try:
        assert (await reader.balances())["USD"].free == 100_000
        with pytest.raises(OrderRefused, match="PermissionDenied"):
            await reader.place(resting())
    finally:
        await reader.close()
    assert local.exchange.orders_of(ACCOUNT) == []


async def test_a_read_is_tried_three_times_and_a_write_once(local: Local) -> None:
    local.server.faults.queue("balance", ERROR_BEFORE, RESET_BEFORE)
    assert (await local.broker.balances())["USD"].free == 100_000
    assert local.server.count("balance") == 3
    local.server.faults.always(ERROR_BEFORE, "balance")
    with pytest.raises(BrokerUnavailable, match="balances"):
        await local.broker.balances()
    assert local.server.count("balance") == 6


@pytest.mark.parametrize("fault", [ERROR_BEFORE, HTML_200, BROKEN_BODY, rate_limited(0)], ids=lambda fault: fault.name)
async def test_a_failed_read_is_never_an_absent_order(local: Local, fault: Fault) -> None:
    await local.broker.place(resting())
    local.server.faults.always(fault, "order", "orders", "trades")
    for read in (local.broker.order("c1", BTC), local.broker.open_orders(), local.broker.fills(since=local.began_at)):
        with pytest.raises(BrokerUnavailable):
            await read


async def test_an_order_the_venue_cannot_read_yet_is_not_absent(local: Local) -> None:
    """Coinbase says "not found" of an order for a moment after it has told its id."""
    placed = await local.broker.place(resting())
    number = next(iter(order.number for order in local.exchange.orders_of(ACCOUNT)))
    taken = local.exchange.orders.pop(number)
    with pytest.raises(BrokerUnavailable, match="was not found"):
        await local.broker.order("c1", BTC)
    local.exchange.orders[number] = taken
    found = await local.broker.order("c1", BTC)
    assert found is not None
    assert found.venue_order_id == placed.venue_order_id


# Orders


async def test_partial_fills_are_told_and_the_rest_can_be_cancelled(local: Local) -> None:
    await local.broker.place(resting())
    local.exchange.trade_at(BTC, VenueSide.SELL, LIMIT, D("0.2"))
    report = await local.broker.order("c1", BTC)
    assert report is not None
    assert (report.state, report.filled) == (OrderState.PARTIALLY_FILLED, D("0.2"))
    ended = await local.broker.cancel("c1", BTC)
    assert (ended.state, ended.filled) == (OrderState.CANCELLED, D("0.2"))
    fills = await local.broker.fills(since=local.began_at)
    assert [(fill.quantity, fill.price, fill.is_maker) for fill in fills] == [(D("0.2"), LIMIT, True)]


async def test_a_cancel_that_loses_the_race_tells_the_fill(local: Local) -> None:
    await local.broker.place(resting())
    local.exchange.trade_at(BTC, VenueSide.SELL, LIMIT, HALF)
    report = await local.broker.cancel("c1", BTC)
    assert (report.state, report.filled) == (OrderState.FILLED, HALF)


async def test_a_cancel_without_an_answer_is_ambiguous_and_may_be_asked_again(local: Local) -> None:
    await local.broker.place(resting())
    local.server.faults.queue("cancel", ERROR_AFTER)
    with pytest.raises(AmbiguousOutcome):
        await local.broker.cancel("c1", BTC)
    assert local.server.count("cancel") == 1
    assert (await local.broker.cancel("c1", BTC)).state is OrderState.CANCELLED


async def test_a_market_buy_is_an_immediate_limit_of_the_exact_quantity(local: Local) -> None:
    local.exchange.quote(BTC, [(D(49_999), D(1))], [(D(50_001), D("0.2")), (D(50_500), D("0.2")), (D(60_000), D(5))])
    await local.broker.place(market("c1"))
    report = await local.broker.order("c1", BTC)
    assert report is not None
    assert (report.state, report.filled) == (OrderState.CANCELLED, D("0.4"))  # what lies beyond the collar is not taken
    (order,) = local.exchange.orders_of(ACCOUNT)
    assert (order.ticket.quantity, order.ticket.limit) == (HALF, D("52501.05"))


async def test_an_immediate_order_ends_with_what_it_did_not_get(local: Local) -> None:
    local.exchange.quote(BTC, [], [(D(50_001), D("0.1"))])
    order = OrderRequest("c1", BTC, Side.BUY, OrderType.LIMIT, D("0.3"), D(50_001), time_in_force=TimeInForce.IOC)
    await local.broker.place(order)
    report = await local.broker.order("c1", BTC)
    assert report is not None
    assert (report.state, report.filled) == (OrderState.CANCELLED, D("0.1"))


async def test_a_post_only_order_that_would_take_is_refused(local: Local) -> None:
    order = OrderRequest("c1", BTC, Side.BUY, OrderType.LIMIT, D("0.3"), D(51_000), time_in_force=TimeInForce.POST_ONLY)
    with pytest.raises(OrderRefused, match="POST_ONLY"):
        await local.broker.place(order)


@pytest.mark.parametrize(("kind", "limit"), [(OrderType.STOP, None), (OrderType.STOP_LIMIT, D(44_500))])
async def test_stops_rest_trigger_and_cancel(local: Local, kind: OrderType, limit: Decimal | None) -> None:
    await local.broker.place(market("c1"))
    for key in ("s1", "s2"):
        stop = OrderRequest(key, BTC, Side.SELL, kind, HALF / 2, limit_price=limit, stop_price=D(45_000))
        assert (await local.broker.place(stop)).state is OrderState.OPEN
    assert {report.client_order_id for report in await local.broker.open_orders()} == {"s1", "s2"}
    assert (await local.broker.cancel("s2", BTC)).state is OrderState.CANCELLED
    local.exchange.move(BTC, D(44_900))
    report = await local.broker.order("s1", BTC)
    assert report is not None
    assert (report.state, report.filled) == (OrderState.FILLED, HALF / 2)


async def test_a_buy_stop_triggers_when_the_price_rises(local: Local) -> None:
    await local.broker.place(OrderRequest("s1", BTC, Side.BUY, OrderType.STOP, HALF, stop_price=D(55_000)))
    local.exchange.move(BTC, D(54_000))
    assert [report.filled for report in await local.broker.open_orders()] == [0]
    local.exchange.move(BTC, D(55_100))
    report = await local.broker.order("s1", BTC)
    assert report is not None
    assert (report.state, report.filled) == (OrderState.FILLED, HALF)


async def test_a_stop_that_would_trigger_at_once_is_refused(local: Local) -> None:
    await local.broker.place(market("c1"))
    with pytest.raises(OrderRefused, match="PREVIEW_STOP_PRICE"):
        await local.broker.place(OrderRequest("s1", BTC, Side.SELL, OrderType.STOP, HALF, stop_price=D(51_000)))


async def test_fees_are_booked_in_the_quote_currency(local: Local) -> None:
    await local.broker.place(market("c1"))
    (fill,) = await local.broker.fills(since=local.began_at)
    assert (fill.fee.asset, fill.fee.amount) == ("USD", fill.notional * FEES.taker)
    balances = await local.broker.balances()
    assert balances["BTC"].total == HALF
    assert balances["USD"].total == 100_000 - fill.notional - fill.fee.amount


# Ids


@pytest.mark.parametrize("again", [market("c1"), resting(price=D(41_000)), resting(quantity=D("0.4"))], ids=str)
async def test_another_order_under_a_known_id_is_not_sent(local: Local, again: OrderRequest) -> None:
    await local.broker.place(resting())
    with pytest.raises(OrderRefused, match="c1"):
        await local.broker.place(again)
    assert local.server.count("place") == 1
    assert len(local.exchange.orders_of(ACCOUNT)) == 1


@pytest.mark.parametrize(
    "again",
    [
        market("c1", Side.SELL),
        resting(price=D(41_000)),
        resting(quantity=D("0.4")),
        OrderRequest("c1", BTC, Side.BUY, OrderType.STOP_LIMIT, HALF, LIMIT, D(51_000)),
        OrderRequest("c1", BTC, Side.BUY, OrderType.LIMIT, HALF, LIMIT, time_in_force=TimeInForce.IOC),
    ],
    ids=["side", "price", "quantity", "stop", "lifetime"],
)
async def test_a_new_process_does_not_take_the_order_that_has_the_id_for_its_own(local: Local, again: OrderRequest) -> None:
    """Coinbase answers with success, the other order's id, and the particulars of the request."""
    first = await local.broker.place(resting())
    process = await local.anew()
    try:
        with pytest.raises(OrderRefused, match="another order"):
            await process.place(again)
        report = await process.order("c1", BTC)
    finally:
        await process.close()
    assert report is not None
    assert (report.venue_order_id, report.state) == (first.venue_order_id, OrderState.OPEN)
    assert len(local.exchange.orders_of(ACCOUNT)) == 1


async def test_the_very_same_order_sent_by_a_new_process_is_the_one_that_is_there(local: Local) -> None:
    first = await local.broker.place(resting())
    local.exchange.trade_at(BTC, VenueSide.SELL, LIMIT, D("0.2"))
    process = await local.anew()
    try:
        again = await process.place(resting())
    finally:
        await process.close()
    assert (again.venue_order_id, again.state, again.filled) == (
        first.venue_order_id,
        OrderState.PARTIALLY_FILLED,
        D("0.2"),
    )
    assert len(local.exchange.orders_of(ACCOUNT)) == 1


@pytest.mark.parametrize("fault", [ERROR_BEFORE, HTML_200, RESET_BEFORE], ids=lambda fault: fault.name)
async def test_an_order_that_cannot_be_read_back_stays_accepted(local: Local, fault: Fault) -> None:
    local.server.faults.always(fault, "order")
    placed = await local.broker.place(resting())
    assert (placed.state, local.server.count("place")) == (OrderState.OPEN, 1)


async def test_an_id_too_long_for_the_venue_is_fitted_and_found_again(local: Local) -> None:
    long = "strategy_7/leg.1:" + "0123456789" * 4
    placed = await local.broker.place(resting(long))
    assert placed.client_order_id == long
    (order,) = local.exchange.orders_of(ACCOUNT)
    assert len(order.ticket.client_id) <= 36
    assert [report.client_order_id for report in await local.broker.open_orders()] == [long]
    again = await local.anew()
    try:
        found = await again.order(long, BTC)
    finally:
        await again.close()
    assert found is not None
    assert found.venue_order_id == placed.venue_order_id
