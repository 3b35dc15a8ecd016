"""The ccxt adapter over real HTTP against a local Bybit: orders, stops, and finding them again."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.bybit_cases import FAR, bybit, market, order, resting, stop
from tests.venues.bybit import LOCAL
from tests.venues.bybit_orders import order_id
from tests.venues.engine_types import Kind, Ticket
from tests.venues.engine_types import Side as VenueSide
from tests.venues.faults import ERROR_BEFORE, REPLY_LOST
from tests.venues.local import ACCOUNT, Local, opened, serving
from tests.venues.server import VenueServer, wall_clock_ms
from trading_core.domain.errors import AmbiguousOutcome, BrokerUnavailable, OrderRefused
from trading_core.domain.money import Money
from trading_core.domain.orders import OrderRequest, OrderState, OrderType, Side, TimeInForce

BTC = LOCAL.symbol
D = Decimal


@pytest.fixture(scope="module")
def server() -> Iterator[VenueServer]:
    with serving(LOCAL) as running:
        yield running


@pytest.fixture
async def local(server: VenueServer) -> AsyncIterator[Local]:
    async with opened(LOCAL, server) as x:
        await x.broker.open()
        yield x


# Orders


async def test_the_first_order_is_one_request(local: Local) -> None:
    """ccxt would ask what kind of account it is, between the desk's decision and its order."""
    before = len(local.server.seen)
    await local.broker.place(resting())
    assert [seen.operation for seen in local.server.seen[before:]] == ["place"]


async def test_a_market_buy_is_of_the_base_coin(local: Local) -> None:
    await local.broker.place(market("c1", "0.123456"))
    (sent,) = local.exchange.orders_of(ACCOUNT)
    assert (sent.ticket.quantity, sent.ticket.cost) == (D("0.123456"), None)
    assert (await order(local, "c1")).filled == D("0.123456")


async def test_partial_fills_are_told_and_the_rest_can_be_cancelled(local: Local) -> None:
    await local.broker.place(resting())
    local.exchange.trade_at(BTC, VenueSide.SELL, FAR, D("0.2"))
    report = await order(local, "c1")
    assert (report.state, report.filled) == (OrderState.PARTIALLY_FILLED, D("0.2"))
    ended = await local.broker.cancel("c1", BTC)
    assert (ended.state, ended.filled) == (OrderState.CANCELLED, D("0.2"))
    (fill,) = await local.broker.fills(since=local.began_at)
    assert (fill.quantity, fill.price, fill.is_maker, fill.fee) == (D("0.2"), FAR, True, Money(D("0.0002"), "BTC"))


async def test_a_cancel_that_loses_the_race_tells_the_fill(local: Local) -> None:
    await local.broker.place(resting())
    local.exchange.trade_at(BTC, VenueSide.SELL, FAR, D("0.5"))
    report = await local.broker.cancel("c1", BTC)
    assert (report.state, report.filled) == (OrderState.FILLED, D("0.5"))


async def test_a_cancel_without_an_answer_is_ambiguous_and_may_be_asked_again(local: Local) -> None:
    await local.broker.place(resting())
    local.server.faults.queue("cancel", REPLY_LOST)
    with pytest.raises(AmbiguousOutcome):
        await local.broker.cancel("c1", BTC)
    assert local.server.count("cancel") == 1
    assert (await local.broker.cancel("c1", BTC)).state is OrderState.CANCELLED


async def test_an_immediate_order_ends_with_what_it_did_not_get(local: Local) -> None:
    local.exchange.quote(BTC, [], [(D(50_001), D("0.1"))])
    request = OrderRequest("c1", BTC, Side.BUY, OrderType.LIMIT, D("0.3"), D(50_001), time_in_force=TimeInForce.IOC)
    await local.broker.place(request)
    report = await order(local, "c1")
    assert (report.state, report.filled) == (OrderState.CANCELLED, D("0.1"))


async def test_a_post_only_order_that_would_take_is_taken_and_cancelled_with_the_reason(local: Local) -> None:
    request = OrderRequest("c1", BTC, Side.BUY, OrderType.LIMIT, D("0.3"), D(51_000), time_in_force=TimeInForce.POST_ONLY)
    assert (await local.broker.place(request)).state is OrderState.OPEN
    report = await order(local, "c1")
    assert (report.state, report.filled, report.reason) == (OrderState.CANCELLED, D(0), "EC_PostOnlyWillTakeLiquidity")
    assert (await local.broker.balances())["USDT"].locked == 0


async def test_ids_that_the_venue_does_not_take_are_fitted_and_told_as_they_were(local: Local) -> None:
    key = "desk/2026-11-22:" + "x" * 40
    await local.broker.place(resting(key))
    (sent,) = local.exchange.orders_of(ACCOUNT)
    assert sent.ticket.client_id != key
    assert len(sent.ticket.client_id) <= 36
    assert [report.client_order_id for report in await local.broker.open_orders()] == [key]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (resting(quantity="0.000009"), "lower limit"),
        (resting(quantity="0.0001"), "Order value"),
        (resting(quantity="3"), "Insufficient"),
        (market("c1", "0.1", Side.SELL), "Insufficient"),
    ],
    ids=["quantity", "notional", "funds", "nothing to sell"],
)
async def test_what_the_filters_and_the_balance_forbid_is_refused(local: Local, request_: OrderRequest, words: str) -> None:
    with pytest.raises(OrderRefused, match=words):
        await local.broker.place(request_)
    assert await local.broker.order("c1", BTC) is None


# Stops


async def test_stops_rest_trigger_and_cancel(local: Local) -> None:
    await local.broker.place(market("c1", "0.3"))
    for key in ("s1", "s2"):
        assert (await local.broker.place(stop(key, 45_000))).state is OrderState.OPEN
    assert {report.client_order_id for report in await local.broker.open_orders()} == {"s1", "s2"}
    assert (await local.broker.cancel("s2", BTC)).state is OrderState.CANCELLED
    local.exchange.move(BTC, D(44_000))
    report = await order(local, "s1")
    assert (report.state, report.filled) == (OrderState.FILLED, D("0.1"))


async def test_a_stop_that_buys_waits_for_the_price_to_rise(local: Local) -> None:
    await local.broker.place(stop("s1", 55_000, side=Side.BUY))
    local.exchange.move(BTC, D(45_000))
    assert (await order(local, "s1")).state is OrderState.OPEN
    local.exchange.move(BTC, D(55_000))
    assert (await order(local, "s1")).filled > 0


@pytest.mark.parametrize("asked_before", [False, True], ids=["at once", "after it was looked at"])
async def test_a_triggered_stop_that_rests_is_cancelled_as_the_plain_order_it_is(local: Local, asked_before: bool) -> None:
    await local.broker.place(market("c1", "0.3"))
    await local.broker.place(stop("s1", 45_000, limit=46_000))
    local.exchange.move(BTC, D(44_000))
    if asked_before:
        assert (await order(local, "s1")).state is OrderState.OPEN
    else:
        with pytest.raises(AmbiguousOutcome, match="still live"):
            await local.broker.cancel("s1", BTC)
        assert (await order(local, "s1")).state is OrderState.OPEN
    assert (await local.broker.cancel("s1", BTC)).state is OrderState.CANCELLED


@pytest.mark.parametrize(
    ("side", "price"), [(Side.SELL, 51_000), (Side.SELL, 50_000), (Side.BUY, 49_000)], ids=["sell above", "sell at", "buy below"]
)
async def test_a_stop_the_market_has_passed_is_refused_and_never_turned_into_its_opposite(
    local: Local, side: Side, price: int
) -> None:
    """A conditional order of spot has no direction: Bybit would wait for the price to come back."""
    await local.broker.place(market("c1", "0.3"))
    local.exchange.move(BTC, D(50_000))
    with pytest.raises(OrderRefused, match="trigger at once"):
        await local.broker.place(stop("s1", price, side=side))
    assert await local.broker.order("s1", BTC) is None
    local.server.faults.always(ERROR_BEFORE, "ticker")
    with pytest.raises(OrderRefused, match="no price"):
        await local.broker.place(stop("s2", 45_000))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(side=st.sampled_from(Side), price=st.integers(49_990, 50_010), limited=st.booleans(), number=st.uuids(version=4))
async def test_whatever_stop_is_sent_never_waits_on_the_wrong_side(
    local: Local, side: Side, price: int, limited: bool, number: UUID
) -> None:
    local.exchange.deposit(ACCOUNT, "BTC", D(1))
    request = stop(str(number), price, "0.001", limit=price if limited else None, side=side)
    passed = price >= 50_000 if side is Side.SELL else price <= 50_000
    with pytest.raises(OrderRefused) if passed else nullcontext():
        await local.broker.place(request)
    assert {order.ticket.kind for order in local.exchange.orders_of(ACCOUNT)} <= {Kind.STOP, Kind.STOP_LIMIT}


# Finding again


async def test_a_new_process_finds_orders_and_fills_under_the_desks_ids(local: Local) -> None:
    await local.broker.place(resting())
    await local.broker.place(market("c2", "0.3"))
    await local.broker.place(stop("s1", 45_000))
    again = await local.anew()
    try:
        assert {report.client_order_id for report in await again.open_orders()} == {"c1", "s1"}
        assert {fill.client_order_id for fill in await again.fills(since=local.began_at)} == {"c2"}
        for key in ("c1", "s1"):
            assert (await again.cancel(key, BTC)).state is OrderState.CANCELLED
    finally:
        await again.close()


@pytest.mark.parametrize("days", [0, 6, 20])
async def test_an_ended_order_is_found_in_the_history_however_old(local: Local, days: int) -> None:
    """The real-time list forgets, and the history tells seven days unless it is asked for others."""
    await local.broker.place(resting())
    (placed,) = local.exchange.orders_of(ACCOUNT)
    placed.created_ms -= days * 86_400_000
    local.exchange.trade_at(BTC, VenueSide.SELL, FAR, D("0.5"))
    bybit(local).restart()
    broker = await replace(local, began_at=local.began_at - timedelta(days=30)).anew()
    try:
        report = await broker.order("c1", BTC)
        assert report is not None
        assert (report.state, report.filled) == (OrderState.FILLED, D("0.5"))
        assert await broker.order("nobody", BTC) is None
    finally:
        await broker.close()


@pytest.mark.parametrize("kind", [Kind.MARKET, Kind.LIMIT])
async def test_an_order_without_a_client_id_goes_by_the_venues_and_stops_no_reading(local: Local, kind: Kind) -> None:
    """Somebody traded by hand, and the venue does not tell of that order any more."""
    limit = D(49_000) if kind is Kind.LIMIT else None
    by_hand = local.exchange.place(Ticket(ACCOUNT, BTC, VenueSide.BUY, kind, "", D("0.1"), limit=limit))
    if limit is not None:
        local.exchange.trade_at(BTC, VenueSide.SELL, limit, D("0.05"))
    await local.broker.place(market("c1", "0.1"))
    bybit(local).restart()
    venue_id = order_id(by_hand)
    assert [fill.client_order_id for fill in await local.broker.fills(since=local.began_at)] == [venue_id, "c1"]
    live = [(report.client_order_id, report.state) for report in await local.broker.open_orders()]
    assert live == ([(venue_id, OrderState.PARTIALLY_FILLED)] if limit is not None else [])


@pytest.mark.parametrize("step_ms", [0, 1], ids=["in one millisecond", "one after the other"])
async def test_more_fills_than_a_page_are_all_read(local: Local, step_ms: int) -> None:
    asks = [(D(50_001) + index, D("0.001")) for index in range(130)]
    local.exchange.quote(BTC, [], asks)
    times = itertools.count(local.exchange.clock() - 500, step_ms)
    local.exchange.clock = lambda: next(times)
    local.exchange.place(Ticket(ACCOUNT, BTC, VenueSide.BUY, Kind.MARKET, "c1", D("0.13")))
    local.exchange.clock = wall_clock_ms
    fills = await local.broker.fills(since=local.began_at)
    assert len({fill.trade_id for fill in fills}) == len(fills) == 130
    assert local.server.count("trades") > 1


async def test_more_live_orders_than_are_told_is_no_answer(local: Local) -> None:
    for index in range(50):
        local.exchange.place(Ticket(ACCOUNT, BTC, VenueSide.BUY, Kind.LIMIT, f"o{index}", D("0.001"), limit=FAR))
    with pytest.raises(BrokerUnavailable, match="50 or more live orders"):
        await local.broker.open_orders()
    assert (await order(local, "o7")).state is OrderState.OPEN
