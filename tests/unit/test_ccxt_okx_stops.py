"""Stops of the desk at a local OKX, and what it streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from decimal import Decimal

import pytest

from tests.unit.okx_desk_cases import BTC, LIMIT, D, a_new_process, bought, found, resting, stop
from tests.venues.engine_types import Kind, Ticket
from tests.venues.engine_types import Side as VenueSide
from tests.venues.faults import (
    ERROR_BEFORE,
)
from tests.venues.local import Local, opened, serving
from tests.venues.okx import LOCAL, PASSPHRASE
from tests.venues.okx_orders import algo_id, order_id
from tests.venues.server import VenueServer
from trading_core.brokers.base import Missed, OrderReport, Update
from trading_core.brokers.venues.client import Credentials
from trading_core.domain.errors import AmbiguousOutcome, BrokerUnavailable, OrderRefused
from trading_core.domain.orders import Fill, OrderState, Side


@pytest.fixture(scope="module")
def server() -> Iterator[VenueServer]:
    with serving(LOCAL) as running:
        yield running


@pytest.fixture
async def local(server: VenueServer) -> AsyncIterator[Local]:
    async with opened(LOCAL, server) as x:
        await x.broker.open()
        yield x


# Stops


@pytest.mark.parametrize(("side", "price", "moved"), [(Side.SELL, 45_000, 44_000), (Side.BUY, 55_000, 56_000)])
async def test_a_stop_rests_triggers_and_fills(local: Local, side: Side, price: int, moved: int) -> None:
    await bought(local)
    placed = await local.broker.place(stop("s1", side, price))
    assert placed.state is OrderState.OPEN
    assert [report.client_order_id for report in await local.broker.open_orders()] == ["s1"]
    local.exchange.move(BTC, D(moved))
    report = await found(local.broker, "s1")
    assert (report.state, report.filled, report.venue_order_id) == (OrderState.FILLED, D("0.1"), placed.venue_order_id)
    async with a_new_process(local) as again:
        assert {fill.client_order_id for fill in await again.fills(since=local.began_at)} == {"bought", "s1"}
        assert (await found(again, "s1")).state is OrderState.FILLED


async def test_a_stop_that_waits_can_be_cancelled(local: Local) -> None:
    await local.broker.place(stop("s1", Side.BUY, 55_000))
    assert (await local.broker.cancel("s1", BTC)).state is OrderState.CANCELLED
    local.exchange.move(BTC, D(56_000))
    report = await found(local.broker, "s1")
    assert (report.state, report.filled) == (OrderState.CANCELLED, 0)


async def test_a_stop_that_triggered_before_its_cancel_tells_the_fill(local: Local) -> None:
    await local.broker.place(stop("s1", Side.BUY, 55_000))
    local.exchange.move(BTC, D(56_000))
    report = await local.broker.cancel("s1", BTC)
    assert (report.state, report.filled) == (OrderState.FILLED, D("0.1"))


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("seen_open", [False, True])
async def test_what_a_stop_has_sent_can_be_cancelled(local: Local, restarted: bool, seen_open: bool) -> None:
    """It works under the venue's number of its own, which ccxt does not tell: it gives the stop's."""
    await local.broker.place(stop("s1", Side.BUY, 55_000, limit=55_000))
    local.exchange.move(BTC, D(56_000))
    assert [order.waiting for order in local.exchange.orders_of("desk", only_open=True)] == [False]
    async with a_new_process(local) as other:
        broker = other if restarted else local.broker
        if seen_open:
            assert [report.client_order_id for report in await broker.open_orders()] == ["s1"]
        try:
            report = await broker.cancel("s1", BTC)
        except AmbiguousOutcome:  # it was looked for among the stops, where it no longer is
            report = await broker.cancel("s1", BTC)
        assert (report.state, report.filled) == (OrderState.CANCELLED, 0)
        assert list(await broker.open_orders()) == []


@pytest.mark.parametrize(("side", "price"), [(Side.SELL, 51_000), (Side.BUY, 49_000), (Side.BUY, 50_000)])
async def test_a_stop_the_price_has_passed_is_refused_before_it_is_sent(local: Local, side: Side, price: int) -> None:
    """OKX would keep it until the price comes back from the other side: a position without a stop."""
    await bought(local)
    sent = local.server.count("place")
    with pytest.raises(OrderRefused, match="would trigger at once"):
        await local.broker.place(stop("s1", side, price))
    local.server.faults.always(ERROR_BEFORE, "ticker")
    with pytest.raises(OrderRefused, match="no price"):
        await local.broker.place(stop("s2", Side.SELL, 45_000))
    assert local.server.count("place") == sent


async def test_a_stop_under_an_id_that_is_taken_is_refused(local: Local) -> None:
    await local.broker.place(stop("s1", Side.BUY, 55_000))
    with pytest.raises(OrderRefused, match="51065"):
        await local.broker.place(stop("s1", Side.BUY, 56_000))


async def test_a_new_process_finds_every_order_and_fill_under_the_desks_ids(local: Local) -> None:
    await bought(local)
    await local.broker.place(resting())
    await local.broker.place(stop("s1", Side.SELL, 45_000))
    async with a_new_process(local) as again:
        assert {report.client_order_id for report in await again.open_orders()} == {"c1", "s1"}
        assert {fill.client_order_id for fill in await again.fills(since=local.began_at)} == {"bought"}
        for key in ("c1", "s1"):
            assert (await again.cancel(key, BTC)).state is OrderState.CANCELLED


async def test_a_strangers_order_goes_by_the_venues_id(local: Local) -> None:
    theirs = local.exchange.place(Ticket("desk", BTC, VenueSide.BUY, Kind.LIMIT, "", D("0.1"), limit=LIMIT))
    (report,) = await local.broker.open_orders()
    assert report.client_order_id == report.venue_order_id == order_id(theirs.number)


async def test_a_stop_loss_of_the_app_is_seen(local: Local) -> None:
    """OKX lists it apart from the desk's trigger orders; it can sell what the desk holds."""
    await bought(local)
    await local.broker.place(stop("s1", Side.SELL, 45_000))
    theirs = local.exchange.place(Ticket("desk", BTC, VenueSide.SELL, Kind.STOP, "", D("0.1"), stop=D(46_000)))
    found_ids = {report.client_order_id: report.state for report in await local.broker.open_orders()}
    assert found_ids == {"s1": OrderState.OPEN, algo_id(theirs.number): OrderState.OPEN}


# Streams


async def test_what_happens_is_told_as_it_happens(local: Local) -> None:
    told: list[Update] = []

    async def until(*wanted: tuple[str, OrderState, Decimal]) -> None:
        async with asyncio.timeout(30):
            while not set(wanted) <= {(r.client_order_id, r.state, r.filled) for r in told if isinstance(r, OrderReport)}:
                told.append(await anext(updates))

    async with aclosing(local.broker.updates()) as updates:
        told.append(await anext(updates))
        assert told == [Missed()]
        await local.broker.place(resting())
        local.exchange.trade_at(BTC, VenueSide.SELL, LIMIT, D("0.2"))
        await until(("c1", OrderState.OPEN, D(0)), ("c1", OrderState.PARTIALLY_FILLED, D("0.2")))
        await local.broker.cancel("c1", BTC)
        await until(("c1", OrderState.CANCELLED, D("0.2")))
        placed = await local.broker.place(stop("s1", Side.BUY, 55_000))
        local.exchange.move(BTC, D(56_000))
        await until(("s1", OrderState.FILLED, D("0.1")))
        assert {row.venue_order_id for row in told if isinstance(row, OrderReport)} >= {placed.venue_order_id}
        # A trade is read: its fee has the wrong sign in what ccxt makes of the stream.
        assert not [row for row in told if isinstance(row, Fill)]
        assert {fill.client_order_id for fill in await local.broker.fills(since=local.began_at)} == {"c1", "s1"}


async def test_a_stream_that_breaks_says_so_and_goes_on(local: Local) -> None:
    async with aclosing(local.broker.updates()) as updates, asyncio.timeout(30):
        assert await anext(updates) == Missed()
        local.server.faults.streams.drop()
        broke = await anext(updates)
        while broke == Missed():
            broke = await anext(updates)
        assert isinstance(broke, Missed)
        assert "OKX broke" in broke.why
        assert await anext(updates) == Missed()
        await local.broker.place(resting())
        while not isinstance(row := await anext(updates), OrderReport):
            pass
        assert row.client_order_id == "c1"


async def test_a_stream_with_a_wrong_key_is_refused_for_good(local: Local) -> None:
    async with a_new_process(local, Credentials("key", "another", PASSPHRASE)) as broker:
        with pytest.raises(BrokerUnavailable, match="60007"):
            await anext(broker.updates())
