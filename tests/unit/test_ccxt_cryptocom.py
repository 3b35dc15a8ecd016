"""The ccxt adapter over real HTTP against a local Crypto.com: the broker port's promises, and what is its own of this venue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.unit.conformance_broker import BrokerConformance, Venue
from tests.venues import faults
from tests.venues.cryptocom import LOCAL, CryptocomVenue
from tests.venues.engine_types import Fees
from tests.venues.engine_types import Side as VenueSide
from tests.venues.faults import Fault, rate_limited
from tests.venues.local import ACCOUNT, Local, opened, serving
from tests.venues.server import VenueServer
from trading_core.brokers.base import Broker, Missed, OrderReport, Update
from trading_core.brokers.venues.client import Credentials
from trading_core.domain.errors import AmbiguousOutcome, BrokerUnavailable, OrderRefused
from trading_core.domain.money import Money
from trading_core.domain.orders import Fill, OrderRequest, OrderState, OrderType, Side, TimeInForce

D = Decimal
BTC = LOCAL.symbol
LIMIT = D(40_000)


@pytest.fixture(scope="module")
def server() -> Iterator[VenueServer]:
    with serving(LOCAL) as running:
        yield running


class TestCryptocom(BrokerConformance):
    @pytest.fixture
    async def venue(self, server: VenueServer) -> AsyncIterator[Venue]:
        async with opened(LOCAL, server) as x:

            async def settle() -> None:
                return None

            yield Venue(x.broker, BTC, D("0.5"), LIMIT, x.began_at, settle)


@pytest.fixture
async def local(server: VenueServer) -> AsyncIterator[Local]:
    async with opened(LOCAL, server) as x:
        await x.broker.open()
        yield x


def resting(key: str = "c1", price: Decimal = LIMIT, quantity: str = "0.5") -> OrderRequest:
    return OrderRequest(key, BTC, Side.BUY, OrderType.LIMIT, D(quantity), limit_price=price)


def stop(key: str, quantity: Decimal, limit: Decimal | None = None) -> OrderRequest:
    """A protective sell at 45,000."""
    kind = OrderType.STOP if limit is None else OrderType.STOP_LIMIT
    return OrderRequest(key, BTC, Side.SELL, kind, quantity, limit_price=limit, stop_price=D(45_000))


async def bought(local: Local, quantity: str = "0.2") -> Decimal:
    """Buy, and tell what of it is left to sell after the fee."""
    await local.broker.place(OrderRequest("b1", BTC, Side.BUY, OrderType.MARKET, D(quantity)))
    held = (await local.broker.balances())["BTC"].free
    return (await local.broker.instruments())[BTC].floor_quantity(held)


async def state_of(local: Local, key: str) -> tuple[OrderState, Decimal]:
    report = await local.broker.order(key, BTC)
    assert report is not None
    return report.state, report.filled


AFTER = [faults.REPLY_LOST, faults.RESET_AFTER, faults.ERROR_AFTER, faults.BROKEN_BODY, faults.HTML_200, faults.HTML_AFTER]


@pytest.mark.parametrize("fault", AFTER, ids=lambda fault: fault.name)
@pytest.mark.parametrize("is_stop", [False, True], ids=["limit", "stop"])
async def test_an_answer_lost_after_execution_is_ambiguous_and_found_by_its_id(local: Local, fault: Fault, is_stop: bool) -> None:
    order = stop("c1", await bought(local)) if is_stop else resting()
    local.server.faults.queue("place", fault)
    with pytest.raises(AmbiguousOutcome, match="c1"):
        await local.broker.place(order)
    assert await state_of(local, "c1") == (OrderState.OPEN, 0)
    assert local.server.count("place") == 1 + is_stop
    again = await local.anew()
    try:
        found = await again.order("c1", BTC)
        assert found is not None
        assert found.state is OrderState.OPEN
    finally:
        await again.close()


BEFORE = [faults.RESET_BEFORE, faults.ERROR_BEFORE, faults.HTML_BEFORE, rate_limited(), rate_limited(1), faults.maintenance()]


@pytest.mark.parametrize("fault", BEFORE, ids=lambda fault: f"{fault.name} {fault.retry_after}")
async def test_a_write_that_never_arrived_proves_nothing_until_the_venue_is_asked(local: Local, fault: Fault) -> None:
    local.server.faults.queue("place", fault)
    with pytest.raises(AmbiguousOutcome):
        await local.broker.place(resting())
    assert await local.broker.order("c1", BTC) is None
    assert local.server.count("place") == 1


TURNED_AWAY = [faults.NO_PERMISSION, faults.BAD_KEY, faults.skewed(61_000), faults.skewed(-61_000)]


@pytest.mark.parametrize("fault", TURNED_AWAY, ids=lambda fault: f"{fault.name} {fault.skew_ms}")
async def test_what_the_venue_turns_away_is_refused(local: Local, fault: Fault) -> None:
    local.server.faults.queue("place", fault)
    with pytest.raises(OrderRefused):
        await local.broker.place(resting())
    assert await local.broker.order("c1", BTC) is None


async def test_a_key_that_may_not_trade_reads_and_is_refused(local: Local) -> None:
    reader = await local.anew(Credentials("reader", LOCAL.keys[1].secret))
    try:
        assert (await reader.balances())["USD"].free == 100_000
        with pytest.raises(OrderRefused, match="UNAUTHORIZED"):
            await reader.place(resting())
        assert local.exchange.orders_of(ACCOUNT) == []
    finally:
        await reader.close()


@pytest.mark.parametrize("credentials", [Credentials("key", "another"), Credentials("nobody", "secret")], ids=["secret", "key"])
async def test_a_wrong_key_is_one_clear_line(local: Local, credentials: Credentials) -> None:
    broker = await local.anew(credentials)
    try:
        with pytest.raises(BrokerUnavailable, match=r"Crypto.com did not give the balances: AuthenticationError"):
            await broker.balances()
    finally:
        await broker.close()


REFUSED = {
    "too dear": (resting(quantity="5"), "INSUFFICIENT_AVAILABLE_BALANCE"),
    "too small": (resting(quantity="0.00002"), "BELOW_MIN_ORDER_SIZE"),
    "would take": (
        OrderRequest("c1", BTC, Side.BUY, OrderType.LIMIT, D("0.3"), D(51_000), time_in_force=TimeInForce.POST_ONLY),
        "POST_ONLY_REJ",
    ),
    "would trigger": (
        OrderRequest("c1", BTC, Side.BUY, OrderType.STOP, D("0.3"), stop_price=D(49_000)),
        "INVALID_REF_PRICE",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_judged_order_is_refused_although_the_status_is_500(local: Local, case: str) -> None:
    order, why = REFUSED[case]
    with pytest.raises(OrderRefused, match=why):
        await local.broker.place(order)
    assert local.exchange.orders_of(ACCOUNT) == []


async def test_an_immediate_order_that_got_nothing_is_looked_up(local: Local) -> None:
    order = OrderRequest("c1", BTC, Side.BUY, OrderType.LIMIT, D("0.3"), D(49_000), time_in_force=TimeInForce.IOC)
    with pytest.raises(AmbiguousOutcome, match="IMMEDIATE_OR_CANCEL"):
        await local.broker.place(order)
    assert await state_of(local, "c1") == (OrderState.EXPIRED, 0)


async def test_an_immediate_order_expires_with_what_it_did_not_get(local: Local) -> None:
    local.exchange.quote(BTC, [], [(D(50_001), D("0.1"))])
    order = OrderRequest("c1", BTC, Side.BUY, OrderType.LIMIT, D("0.3"), D(50_001), time_in_force=TimeInForce.IOC)
    await local.broker.place(order)
    assert await state_of(local, "c1") == (OrderState.EXPIRED, D("0.1"))


@pytest.mark.parametrize("fault", [faults.ERROR_BEFORE, faults.HTML_BEFORE, faults.RESET_BEFORE], ids=lambda fault: fault.name)
async def test_a_read_is_tried_three_times(local: Local, fault: Fault) -> None:
    local.server.faults.queue("balance", fault, fault)
    assert (await local.broker.balances())["USD"].free == 100_000
    assert local.server.count("balance") == 3


UNREAD = [faults.ERROR_BEFORE, faults.HTML_200, faults.BROKEN_BODY, rate_limited(0)]


@pytest.mark.parametrize("fault", UNREAD, ids=lambda fault: fault.name)
async def test_a_failed_read_is_never_an_absent_order(local: Local, fault: Fault) -> None:
    await local.broker.place(resting())
    local.server.faults.always(fault, "order", "open_orders", "trades")
    for read in (local.broker.order("c1", BTC), local.broker.open_orders(), local.broker.fills(since=local.began_at)):
        with pytest.raises(BrokerUnavailable):
            await read


async def test_partial_fills_are_told_and_the_rest_can_be_cancelled(local: Local) -> None:
    await local.broker.place(resting())
    local.exchange.trade_at(BTC, VenueSide.SELL, LIMIT, D("0.2"))
    assert await state_of(local, "c1") == (OrderState.PARTIALLY_FILLED, D("0.2"))
    ended = await local.broker.cancel("c1", BTC)
    assert (ended.state, ended.filled) == (OrderState.CANCELLED, D("0.2"))
    (fill,) = await local.broker.fills(since=local.began_at)
    assert (fill.quantity, fill.price, fill.is_maker) == (D("0.2"), LIMIT, True)


async def test_a_cancel_that_loses_the_race_tells_the_fill(local: Local) -> None:
    await local.broker.place(resting())
    local.exchange.trade_at(BTC, VenueSide.SELL, LIMIT, D("0.5"))
    report = await local.broker.cancel("c1", BTC)
    assert (report.state, report.filled) == (OrderState.FILLED, D("0.5"))
    assert local.server.seen[-2].status == 500


async def test_a_cancel_without_an_answer_is_ambiguous_and_may_be_asked_again(local: Local) -> None:
    await local.broker.place(resting())
    local.server.faults.queue("cancel", faults.ERROR_AFTER)
    with pytest.raises(AmbiguousOutcome):
        await local.broker.cancel("c1", BTC)
    assert local.server.count("cancel") == 1
    assert (await local.broker.cancel("c1", BTC)).state is OrderState.CANCELLED


async def test_a_new_process_finds_orders_stops_and_fills_under_the_desks_ids(local: Local) -> None:
    quantity = await bought(local)
    await local.broker.place(resting())
    await local.broker.place(stop("s1", quantity))
    again = await local.anew()
    try:
        assert {report.client_order_id for report in await again.open_orders()} == {"c1", "s1"}
        assert {fill.client_order_id for fill in await again.fills(since=local.began_at)} == {"b1"}
        assert (await again.cancel("c1", BTC)).state is OrderState.CANCELLED
        assert (await again.cancel("s1", BTC)).state is OrderState.CANCELLED
        assert list(await again.open_orders()) == []
    finally:
        await again.close()


async def test_stops_are_kept_apart_trigger_by_the_last_price_and_cancel(local: Local) -> None:
    half = (await local.broker.instruments())[BTC].floor_quantity(await bought(local) / 2)
    for key in ("s1", "s2"):
        assert (await local.broker.place(stop(key, half))).state is OrderState.OPEN
    placed = [seen.call for seen in local.server.seen if seen.operation == "place"][1:]
    assert {call.path for call in placed} == {"/exchange/v1/private/advanced/create-order"}
    assert all('"ref_price_type":"LAST_PRICE"' in call.body.replace(" ", "") for call in placed)
    assert (await local.broker.cancel("s2", BTC)).state is OrderState.CANCELLED
    local.exchange.move(BTC, D(44_000))
    assert await state_of(local, "s1") == (OrderState.FILLED, half)
    assert {fill.client_order_id for fill in await local.broker.fills(since=local.began_at)} == {"b1", "s1"}


@pytest.mark.parametrize("renames_sent", [False, True])
async def test_what_a_stop_has_sent_is_the_stop_to_the_desk(local: Local, renames_sent: bool) -> None:
    assert isinstance(local.server.venue, CryptocomVenue)
    local.server.venue.renames_sent = renames_sent
    quantity = await bought(local)
    await local.broker.place(stop("s1", quantity, limit=D(44_900)))
    local.exchange.move(BTC, D(44_000))
    assert await state_of(local, "s1") == (OrderState.OPEN, 0)
    local.exchange.trade_at(BTC, VenueSide.BUY, D(44_900), D("0.05"))
    assert await state_of(local, "s1") == (OrderState.PARTIALLY_FILLED, D("0.05"))
    assert {fill.client_order_id for fill in await local.broker.fills(since=local.began_at)} == {"b1", "s1"}
    ended = await cancelled(local, "s1")
    assert ended == (OrderState.CANCELLED, D("0.05"))


async def cancelled(local: Local, key: str) -> tuple[OrderState, Decimal]:
    """Ask until it is done, as the desk does."""
    for _ in range(3):
        try:
            report = await local.broker.cancel(key, BTC)
        except AmbiguousOutcome:
            continue
        return report.state, report.filled
    raise AssertionError(f"{key!r} is still live")


async def test_fees_are_booked_in_what_they_were_taken_from(server: VenueServer) -> None:
    async with opened(LOCAL, server) as x:
        await x.broker.place(OrderRequest("c1", BTC, Side.BUY, OrderType.MARKET, D("0.2")))
        await x.broker.place(OrderRequest("c2", BTC, Side.SELL, OrderType.MARKET, D("0.1")))
        buy, sell = await x.broker.fills(since=x.began_at)
        assert (buy.fee, sell.fee) == (Money(D("0.001"), "BTC"), Money(D("24.999995"), "USD"))
    async with opened(LOCAL, server, Fees(taken_in="CRO", coin_price=D("0.1"))) as x:
        x.exchange.deposit(ACCOUNT, "CRO", D(10_000))
        await x.broker.place(OrderRequest("c1", BTC, Side.BUY, OrderType.MARKET, D("0.1")))
        (fill,) = await x.broker.fills(since=x.began_at)
        assert fill.fee.asset == "CRO"
        assert (await x.broker.balances())["CRO"].free == 10_000 - fill.fee.amount


async def test_ids_are_fitted_to_what_the_venue_takes(local: Local) -> None:
    long = "desk/" + "x" * 60
    await local.broker.place(resting(long))
    assert await state_of(local, long) == (OrderState.OPEN, 0)
    (order,) = local.exchange.orders_of(ACCOUNT)
    assert len(order.ticket.client_id) <= 36
    assert [report.client_order_id for report in await local.broker.open_orders()] == [long]


async def test_fills_of_one_instant_are_read_to_the_last_although_a_page_ends_among_them(local: Local) -> None:
    """Sixty in one millisecond, and sixty later: the end of a span that is asked for is itself not told."""
    await local.broker.place(OrderRequest("c0", BTC, Side.BUY, OrderType.MARKET, D("0.1")))
    await local.broker.place(resting(quantity="1.2", price=D(49_000)))
    at = local.exchange.clock()
    for _ in range(60):
        local.exchange.trade_at(BTC, VenueSide.SELL, D(49_000), D("0.01"))
    await asyncio.sleep(0.005)
    for _ in range(60):
        local.exchange.trade_at(BTC, VenueSide.SELL, D(49_000), D("0.01"))
    done = local.exchange.executions[ACCOUNT]
    done[1:61] = [replace(execution, at_ms=at) for execution in done[1:61]]
    fills = await local.broker.fills(since=local.began_at)
    assert len(fills) == len({fill.trade_id for fill in fills}) == 121
    assert local.server.count("trades") >= 2


async def test_a_past_of_days_is_read_day_by_day(local: Local) -> None:
    local.broker._history_from = local.began_at - timedelta(days=3)
    await local.broker.place(OrderRequest("c1", BTC, Side.BUY, OrderType.MARKET, D("0.1")))
    assert len(await local.broker.fills(since=local.began_at - timedelta(days=3))) == 1
    assert local.server.count("trades") == 4
    spans = [call.body for call in (seen.call for seen in local.server.seen) if call.path.endswith("get-trades")]
    assert len(spans) == len(set(spans))


class Ear:
    """Listens to a broker's updates."""

    def __init__(self, broker: Broker) -> None:
        self.heard: list[Update] = []
        self._news = asyncio.Event()
        self._broker = broker

    async def listen(self) -> None:
        async for update in self._broker.updates():
            self.heard.append(update)
            self._news.set()

    def count(self, kind: type[Update]) -> int:
        """Of fills and reports those that differ, of what was missed every word."""
        found = [update for update in self.heard if isinstance(update, kind)]
        return len(found if kind is Missed else set(found))

    async def until(self, count: int, kind: type[Update]) -> None:
        async with asyncio.timeout(30):
            while self.count(kind) < count:
                await self._news.wait()
                self._news.clear()


async def test_fills_are_streamed_as_they_are_read_and_a_broken_stream_says_so(local: Local) -> None:
    venue, ear = local.server.venue, Ear(local.broker)
    assert isinstance(venue, CryptocomVenue)
    listening = asyncio.create_task(ear.listen())
    try:
        await ear.until(2, Missed)  # both subscriptions are confirmed
        await local.broker.place(OrderRequest("c1", BTC, Side.BUY, OrderType.MARKET, D("0.1")))
        await local.broker.place(resting("c2", D(49_000), "0.2"))
        local.exchange.trade_at(BTC, VenueSide.SELL, D(49_000), D("0.05"))
        await ear.until(2, Fill)
        await ear.until(3, OrderReport)
        for _ in range(3):
            venue.heartbeat()
            await asyncio.sleep(0.05)
        assert len(local.server.streams) == 1
        local.server.faults.streams.drop()
        local.exchange.trade_at(BTC, VenueSide.SELL, D(49_000), D("0.05"))
        await ear.until(5, Missed)  # it broke, and both are confirmed again
        local.exchange.trade_at(BTC, VenueSide.SELL, D(49_000), D("0.05"))
        await ear.until(3, Fill)
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    read = await local.broker.fills(since=local.began_at)
    assert {update for update in ear.heard if isinstance(update, Fill)} <= set(read)
    assert {fill.client_order_id for fill in read} == {"c1", "c2"}
    assert any(isinstance(update, Missed) and "broke" in update.why for update in ear.heard)
