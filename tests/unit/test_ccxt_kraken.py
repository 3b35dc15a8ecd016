"""The ccxt adapter over real HTTP against a local Kraken: the broker port's promises, and what is lost on the way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from decimal import Decimal

import ccxt
import pytest

from tests.unit.conformance_broker import BrokerConformance, Venue
from tests.venues.engine_types import Side as VenueSide
from tests.venues.faults import (
    BAD_KEY,
    BROKEN_BODY,
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
from tests.venues.kraken import LOCAL
from tests.venues.local import Local, opened, serving
from tests.venues.server import VenueServer
from trading_core.brokers.permissions import KeyPermissions
from trading_core.brokers.venues.client import Credentials
from trading_core.brokers.venues.errors import Outcome, outcome_of
from trading_core.brokers.venues.profiles import KRAKEN
from trading_core.domain.errors import AmbiguousOutcome, BrokerUnavailable, OrderRefused
from trading_core.domain.orders import OrderRequest, OrderState, OrderType, Side, TimeInForce

BTC = LOCAL.symbol
D = Decimal
LIMIT = D(40_000)


@pytest.fixture(scope="module")
def server() -> Iterator[VenueServer]:
    with serving(LOCAL) as running:
        yield running


class TestKraken(BrokerConformance):
    @pytest.fixture
    async def venue(self, server: VenueServer) -> AsyncIterator[Venue]:
        async with opened(LOCAL, server) as x:

            async def settle() -> None:
                return None

            yield Venue(x.broker, x.symbol, D("0.5"), LIMIT, x.began_at, settle)


@pytest.fixture
async def local(server: VenueServer) -> AsyncIterator[Local]:
    async with opened(LOCAL, server) as x:
        await x.broker.open()
        yield x


def resting(key: str = "c1", quantity: str = "0.5") -> OrderRequest:
    return OrderRequest(key, BTC, Side.BUY, OrderType.LIMIT, D(quantity), limit_price=LIMIT)


def market(key: str, quantity: str, side: Side = Side.BUY) -> OrderRequest:
    return OrderRequest(key, BTC, side, OrderType.MARKET, D(quantity))


# What comes of a write


@pytest.mark.parametrize("fault", [REPLY_LOST, RESET_AFTER, ERROR_AFTER, BROKEN_BODY, HTML_200], ids=lambda fault: fault.name)
async def test_an_answer_lost_after_execution_is_ambiguous_and_found_by_its_id(local: Local, fault: Fault) -> None:
    local.server.faults.queue("place", fault)
    with pytest.raises(AmbiguousOutcome, match="c1"):
        await local.broker.place(resting())
    found = await local.broker.order("c1", BTC)
    assert found is not None
    assert (found.state, found.filled) == (OrderState.OPEN, D(0))
    assert local.server.count("place") == 1


async def test_a_market_order_whose_answer_was_lost_is_found_among_those_that_have_ended(local: Local) -> None:
    local.server.faults.queue("place", REPLY_LOST)
    with pytest.raises(AmbiguousOutcome, match="c1"):
        await local.broker.place(market("c1", "0.1"))
    found = await local.broker.order("c1", BTC)
    assert found is not None
    assert (found.state, found.filled) == (OrderState.FILLED, D("0.1"))
    (fill,) = await local.broker.fills(since=local.began_at)
    assert (fill.client_order_id, fill.quantity) == ("c1", D("0.1"))


@pytest.mark.parametrize(
    "fault",
    [RESET_BEFORE, ERROR_BEFORE, HTML_BEFORE, rate_limited(), rate_limited(1), maintenance(), banned()],
    ids=lambda fault: f"{fault.name} {fault.retry_after}",
)
async def test_a_write_that_never_arrived_proves_nothing_until_the_venue_is_asked(local: Local, fault: Fault) -> None:
    local.server.faults.queue("place", fault)
    with pytest.raises(AmbiguousOutcome):
        await local.broker.place(resting())
    assert await local.broker.order("c1", BTC) is None
    assert local.server.count("place") == 1


@pytest.mark.parametrize("fault", [NO_PERMISSION, BAD_KEY], ids=lambda fault: fault.name)
async def test_what_the_venue_turns_away_is_refused(local: Local, fault: Fault) -> None:
    local.server.faults.queue("place", fault)
    with pytest.raises(OrderRefused):
        await local.broker.place(resting())
    assert await local.broker.order("c1", BTC) is None


@pytest.mark.parametrize("fault", [skewed(60_000), skewed(-60_000)], ids=str)
async def test_a_venue_that_looks_at_no_clock_takes_an_order_at_any_time(local: Local, fault: Fault) -> None:
    local.server.faults.queue("place", fault)
    assert (await local.broker.place(resting())).state is OrderState.OPEN


async def test_an_id_that_an_open_order_has_is_refused_and_nothing_is_sent_twice(local: Local) -> None:
    await local.broker.place(resting())
    with pytest.raises(OrderRefused, match="not unique"):
        await local.broker.place(market("c1", "0.1"))
    assert [order.ticket.client_id for order in local.exchange.orders_of("desk")] == ["c1"]


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (resting(quantity="0.00005"), "c1"),
        (resting(quantity="50"), "InsufficientFunds"),
        (
            OrderRequest("c1", BTC, Side.BUY, OrderType.LIMIT, D("0.3"), D(51_000), time_in_force=TimeInForce.POST_ONLY),
            "Post only",
        ),
        (OrderRequest("c1", BTC, Side.SELL, OrderType.STOP, D("0.1"), stop_price=D(60_000)), "InvalidOrder"),
    ],
    ids=["below the minimum", "too dear", "would take", "would trigger"],
)
async def test_what_the_venue_judges_is_refused(order: OrderRequest, words: str, local: Local) -> None:
    with pytest.raises(OrderRefused, match=words):
        await local.broker.place(order)
    assert await local.broker.order("c1", BTC) is None


SAID = {
    "EOrder:Insufficient funds": Outcome.REFUSED,
    "EOrder:Invalid price": Outcome.REFUSED,
    "EOrder:Cost minimum not met": Outcome.REFUSED,
    "EOrder:Orders limit exceeded": Outcome.REFUSED,
    "EOrder:Post only order": Outcome.REFUSED,
    "EGeneral:Invalid arguments": Outcome.REFUSED,
    "EGeneral:Invalid arguments:cl_ord_id": Outcome.REFUSED,
    "EGeneral:Invalid arguments:cl_ord_id not unique": Outcome.REFUSED,
    "EGeneral:Invalid arguments:volume minimum not met": Outcome.REFUSED,
    "EGeneral:Invalid arguments:Index unavailable": Outcome.REFUSED,
    "EGeneral:Permission denied": Outcome.REFUSED,
    "EQuery:Unknown asset pair": Outcome.REFUSED,
    "EService:Market in cancel_only mode": Outcome.REFUSED,
    "EService:Market in post_only mode": Outcome.REFUSED,
    "EAPI:Invalid key": Outcome.REFUSED,
    "EAPI:Invalid signature": Outcome.REFUSED,
    "EAPI:Invalid nonce": Outcome.REFUSED,
    "EAPI:Rate limit exceeded": Outcome.AMBIGUOUS,
    "EGeneral:Internal error": Outcome.AMBIGUOUS,
    "EGeneral:Internal error[:12]": Outcome.AMBIGUOUS,
    "EGeneral:Too many requests": Outcome.AMBIGUOUS,
    "EService:Unavailable": Outcome.AMBIGUOUS,
    "EService:Busy": Outcome.AMBIGUOUS,
    "EService:Deadline elapsed": Outcome.AMBIGUOUS,
    "EService:Timeout": Outcome.AMBIGUOUS,
}
"""Kraken's errors (https://docs.kraken.com/api/docs/guides/spot-errors), and what each proves of an order."""


def test_each_of_krakens_errors_is_a_refusal_or_proves_nothing() -> None:
    client = ccxt.kraken()
    found = {}
    for words in SAID:
        body = json.dumps({"error": [words]}, separators=(",", ":"))
        with pytest.raises(ccxt.BaseError) as raised:
            client.handle_errors(200, "OK", "", "POST", {}, body, json.loads(body), {}, "")
        found[words] = outcome_of(raised.value, status=200, refusals=KRAKEN.refusals)
    assert found == SAID


# Reads


async def test_a_read_is_tried_three_times_and_a_write_once(local: Local) -> None:
    local.server.faults.queue("balance", ERROR_BEFORE, maintenance())
    assert (await local.broker.balances())["USD"].free == 100_000
    assert local.server.count("balance") == 3
    local.server.faults.always(maintenance(), "balance")
    with pytest.raises(BrokerUnavailable, match="balances"):
        await local.broker.balances()
    assert local.server.count("balance") == 6


@pytest.mark.parametrize(
    "fault", [ERROR_BEFORE, HTML_200, BROKEN_BODY, maintenance(), rate_limited(0)], ids=lambda fault: fault.name
)
async def test_a_failed_read_is_never_an_absent_order(local: Local, fault: Fault) -> None:
    await local.broker.place(resting())
    local.server.faults.always(fault, "order", "open_orders", "orders", "trades")
    for read in (local.broker.order("c1", BTC), local.broker.open_orders(), local.broker.fills(since=local.began_at)):
        with pytest.raises(BrokerUnavailable):
            await read


async def test_a_wrong_secret_is_one_clear_line(local: Local) -> None:
    broker = await local.anew(Credentials("key", "YW5vdGhlcg=="))
    try:
        with pytest.raises(BrokerUnavailable, match=r"Kraken did not give the balances: .*EAPI:Invalid signature"):
            await broker.balances()
    finally:
        await broker.close()


@pytest.mark.parametrize(
    ("key", "permissions"),
    [
        ("key", KeyPermissions(True, True, False, False)),
        ("reader", KeyPermissions(True, False, False, False)),
        ("treasurer", KeyPermissions(True, True, True, False)),
    ],
)
async def test_what_a_key_may_do(key: str, permissions: KeyPermissions, local: Local) -> None:
    broker = await local.anew(Credentials(key, LOCAL.credentials.secret))
    try:
        assert await broker.permissions() == permissions
    finally:
        await broker.close()


# Orders from their birth to their end


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
    local.exchange.trade_at(BTC, VenueSide.SELL, LIMIT, D("0.5"))
    report = await local.broker.cancel("c1", BTC)
    assert (report.state, report.filled) == (OrderState.FILLED, D("0.5"))


async def test_a_cancel_without_an_answer_is_ambiguous_and_may_be_asked_again(local: Local) -> None:
    await local.broker.place(resting())
    local.server.faults.queue("cancel", ERROR_AFTER)
    with pytest.raises(AmbiguousOutcome):
        await local.broker.cancel("c1", BTC)
    assert local.server.count("cancel") == 1
    assert (await local.broker.cancel("c1", BTC)).state is OrderState.CANCELLED


async def test_a_new_process_finds_orders_and_fills_under_the_desks_ids(local: Local) -> None:
    await local.broker.place(resting())
    await local.broker.place(market("c2", "0.1"))
    again = await local.anew()
    try:
        assert [report.client_order_id for report in await again.open_orders()] == ["c1"]
        assert {fill.client_order_id for fill in await again.fills(since=local.began_at)} == {"c2"}
        assert (await again.cancel("c1", BTC)).state is OrderState.CANCELLED
    finally:
        await again.close()


async def test_more_fills_in_one_second_than_a_page_holds_are_all_read_whatever_their_order(local: Local) -> None:
    local.exchange.quote(BTC, [], [(D(50_000 + number), D("0.001")) for number in range(120)])
    await local.broker.place(market("c1", "0.12"))
    local.server.faults.always(REORDERED, "trades")
    fills = await local.broker.fills(since=local.began_at)
    assert sorted(fill.price for fill in fills) == [D(50_000 + number) for number in range(120)]
    assert {fill.client_order_id for fill in fills} == {"c1"}
    assert local.server.count("trades") == 3


async def test_stops_rest_trigger_and_cancel(local: Local) -> None:
    await local.broker.place(market("c1", "0.2"))
    for key in ("s1", "s2"):
        stop = OrderRequest(key, BTC, Side.SELL, OrderType.STOP, D("0.1"), stop_price=D(45_000))
        assert (await local.broker.place(stop)).state is OrderState.OPEN
    waiting = await local.broker.order("s1", BTC)
    assert waiting is not None
    assert (waiting.state, waiting.filled) == (OrderState.OPEN, D(0))
    assert (await local.broker.cancel("s2", BTC)).state is OrderState.CANCELLED
    local.exchange.move(BTC, D(44_000))
    report = await local.broker.order("s1", BTC)
    assert report is not None
    assert (report.state, report.filled) == (OrderState.FILLED, D("0.1"))


async def test_an_immediate_order_ends_with_what_it_did_not_get(local: Local) -> None:
    local.exchange.quote(BTC, [], [(D(50_001), D("0.1"))])
    order = OrderRequest("c1", BTC, Side.BUY, OrderType.LIMIT, D("0.3"), D(50_001), time_in_force=TimeInForce.IOC)
    await local.broker.place(order)
    report = await local.broker.order("c1", BTC)
    assert report is not None
    # Kraken has one word for an order that was cancelled and for one that might not rest.
    assert (report.state, report.filled) == (OrderState.CANCELLED, D("0.1"))


async def test_fees_are_paid_in_quote_whichever_side(local: Local) -> None:
    before = (await local.broker.balances())["USD"].total
    await local.broker.place(market("c1", "0.1"))
    await local.broker.place(market("c2", "0.1", Side.SELL))
    bought, sold = await local.broker.fills(since=local.began_at)
    assert {fill.fee.asset for fill in (bought, sold)} == {"USD"}
    assert (bought.fee.amount, sold.fee.amount) == (D("20.00004"), D("19.99996"))
    after = await local.broker.balances()
    assert before - after["USD"].total == bought.notional - sold.notional + bought.fee.amount + sold.fee.amount
    assert "BTC" not in after
