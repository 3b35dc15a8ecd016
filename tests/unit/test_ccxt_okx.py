"""The ccxt adapter over real HTTP against a local OKX: the broker port's promises, and what is OKX's own."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace

import pytest

from tests.unit.conformance_broker import BrokerConformance, Venue
from tests.unit.okx_desk_cases import BTC, LIMIT, D, a_new_process, bought, found, resting, stop
from tests.venues.engine_types import Side as VenueSide
from tests.venues.faults import (
    BAD_KEY,
    BROKEN_BODY,
    ERROR_AFTER,
    ERROR_BEFORE,
    HTML_200,
    NO_PERMISSION,
    REPLY_LOST,
    RESET_BEFORE,
    Fault,
    maintenance,
    rate_limited,
    skewed,
)
from tests.venues.local import Local, opened, serving
from tests.venues.okx import LOCAL, PASSPHRASE
from tests.venues.server import VenueServer
from trading_core.brokers.permissions import KeyPermissions
from trading_core.brokers.throttle import Throttle
from trading_core.brokers.venues.client import Credentials, open_client
from trading_core.domain.errors import AmbiguousOutcome, BrokerUnavailable, ConfigurationError, OrderRefused
from trading_core.domain.money import Money
from trading_core.domain.orders import OrderRequest, OrderState, OrderType, Side, TimeInForce


@pytest.fixture(scope="module")
def server() -> Iterator[VenueServer]:
    with serving(LOCAL) as running:
        yield running


class TestOkx(BrokerConformance):
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


# What is lost on the way


@pytest.mark.parametrize("fault", [REPLY_LOST, ERROR_AFTER, BROKEN_BODY, HTML_200], ids=lambda fault: fault.name)
@pytest.mark.parametrize("is_stop", [False, True])
async def test_an_order_whose_answer_was_lost_is_found_by_its_id(local: Local, fault: Fault, is_stop: bool) -> None:
    local.server.faults.queue("place", fault)
    with pytest.raises(AmbiguousOutcome, match="c1"):
        await local.broker.place(stop("c1", Side.BUY, 55_000) if is_stop else resting())
    async with a_new_process(local) as again:
        assert (await found(again, "c1")).state is OrderState.OPEN
        assert (await again.cancel("c1", BTC)).state is OrderState.CANCELLED
    assert local.server.count("place") == 1


@pytest.mark.parametrize(
    "fault", [RESET_BEFORE, ERROR_BEFORE, rate_limited(), rate_limited(1), maintenance()], ids=lambda fault: fault.name
)
async def test_a_write_that_never_arrived_proves_nothing_until_the_venue_is_asked(local: Local, fault: Fault) -> None:
    local.server.faults.queue("place", fault)
    with pytest.raises(AmbiguousOutcome):
        await local.broker.place(resting())
    assert await local.broker.order("c1", BTC) is None
    assert local.server.count("place") == 1


@pytest.mark.parametrize("fault", [NO_PERMISSION, BAD_KEY, skewed(60_000), skewed(-60_000)], ids=lambda fault: fault.name)
async def test_what_the_venue_turns_away_is_refused(local: Local, fault: Fault) -> None:
    local.server.faults.queue("place", fault)
    with pytest.raises(OrderRefused):
        await local.broker.place(resting())
    assert await local.broker.order("c1", BTC) is None


@pytest.mark.parametrize("fault", [ERROR_BEFORE, HTML_200, rate_limited(0), NO_PERMISSION], ids=lambda fault: fault.name)
async def test_a_failed_read_is_never_an_absent_order(local: Local, fault: Fault) -> None:
    await local.broker.place(resting())
    local.server.faults.always(fault, "order", "open_orders", "trades")
    for read in (local.broker.order("c1", BTC), local.broker.open_orders(), local.broker.fills(since=local.began_at)):
        with pytest.raises(BrokerUnavailable):
            await read


# Plain orders


async def test_partial_fills_are_told_and_the_rest_can_be_cancelled(local: Local) -> None:
    await local.broker.place(resting())
    local.exchange.trade_at(BTC, VenueSide.SELL, LIMIT, D("0.2"))
    report = await found(local.broker, "c1")
    assert (report.state, report.filled) == (OrderState.PARTIALLY_FILLED, D("0.2"))
    ended = await local.broker.cancel("c1", BTC)
    assert (ended.state, ended.filled) == (OrderState.CANCELLED, D("0.2"))
    (fill,) = await local.broker.fills(since=local.began_at)
    assert (fill.quantity, fill.price, fill.is_maker) == (D("0.2"), LIMIT, True)


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
    assert (await local.broker.cancel("c1", BTC)).state is OrderState.CANCELLED


async def test_a_fee_is_taken_from_what_was_received(local: Local) -> None:
    await bought(local, "0.5")
    await local.broker.place(OrderRequest("sold", BTC, Side.SELL, OrderType.MARKET, D("0.1")))
    bought_at, sold_at = await local.broker.fills(since=local.began_at)
    assert (bought_at.fee, sold_at.fee) == (Money(D("0.0005"), "BTC"), Money(D("4.99999"), "USDT"))
    held = await local.broker.balances()
    assert held["BTC"].total == D("0.3995")
    assert held["USDT"].total == 100_000 - bought_at.notional + sold_at.notional - sold_at.fee.amount


async def test_an_immediate_order_expires_with_what_it_did_not_get(local: Local) -> None:
    local.exchange.quote(BTC, [], [(D(50_001), D("0.1"))])
    await local.broker.place(replace(resting("c1", D(50_001), "0.3"), time_in_force=TimeInForce.IOC))
    report = await found(local.broker, "c1")
    assert (report.state, report.filled) == (OrderState.EXPIRED, D("0.1"))
    assert "incompletely filled" in report.reason


async def test_a_post_only_order_that_would_take_ends_as_refused(local: Local) -> None:
    """OKX takes it, and turns it away a moment later."""
    post_only = TimeInForce.POST_ONLY
    await local.broker.place(replace(resting("c1", D(51_000)), time_in_force=post_only))
    report = await found(local.broker, "c1")
    assert (report.state, report.filled) == (OrderState.REFUSED, 0)
    assert "post-only" in report.reason
    await local.broker.place(replace(resting("c2"), time_in_force=post_only))
    assert (await found(local.broker, "c2")).state is OrderState.OPEN


async def test_ids_are_fitted_to_letters_and_digits(local: Local) -> None:
    odd, long = "an-id_with:marks", "x" * 33
    for key in (odd, long):
        await local.broker.place(resting(key, quantity="0.01"))
    sent = [order.ticket.client_id for order in local.exchange.orders_of("desk")]
    assert all(made.isalnum() and len(made) <= 32 for made in sent)
    assert len(set(sent)) == 2
    assert {report.client_order_id for report in await local.broker.open_orders()} == {odd, long}
    assert (await local.broker.cancel(odd, BTC)).client_order_id == odd


async def test_amounts_go_out_as_they_are(local: Local) -> None:
    await local.broker.place(resting("c1", D("40000.1"), "0.12345678"))
    (sent,) = [json.loads(seen.call.body) for seen in local.server.seen if seen.operation == "place"]
    assert (sent[0]["px"], sent[0]["sz"], sent[0]["tdMode"]) == ("40000.1", "0.12345678", "cash")


async def test_more_fills_than_a_page_holds_are_all_read(local: Local) -> None:
    for number in range(110):
        local.exchange.quote(BTC, [], [(D(50_001), D("0.001"))])
        await local.broker.place(replace(resting(f"c{number}", D(50_001), "0.001"), time_in_force=TimeInForce.IOC))
    fills = await local.broker.fills(since=local.began_at)
    assert [fill.client_order_id for fill in sorted(fills, key=lambda fill: int(fill.trade_id.split(":")[1]))] == [
        f"c{number}" for number in range(110)
    ]


# Keys


async def test_the_venue_tells_what_a_key_may_do(local: Local) -> None:
    may = {}
    for key in LOCAL.keys:
        async with a_new_process(local, Credentials(key.key, key.secret, PASSPHRASE)) as broker:
            may[key.key] = await broker.permissions()
    assert may == {
        "key": KeyPermissions(can_read=True, can_trade=True, can_withdraw=False, restricted_to_ips=False),
        "reader": KeyPermissions(can_read=True, can_trade=False, can_withdraw=False, restricted_to_ips=False),
        "treasurer": KeyPermissions(can_read=True, can_trade=True, can_withdraw=True, restricted_to_ips=False),
    }


@pytest.mark.parametrize(
    ("credentials", "words"),
    [
        (Credentials("nobody", "secret", PASSPHRASE), "OKX did not give the balances: AuthenticationError.*50111"),
        (Credentials("key", "another", PASSPHRASE), "OKX did not give the balances: AuthenticationError.*50113"),
        (Credentials("key", "secret", "another"), "OKX did not give the balances: AuthenticationError.*50105"),
    ],
)
async def test_a_wrong_key_is_one_clear_line(local: Local, credentials: Credentials, words: str) -> None:
    async with a_new_process(local, credentials) as broker:
        with pytest.raises(BrokerUnavailable, match=words):
            await broker.balances()
        with pytest.raises(OrderRefused):
            await broker.place(resting())


async def test_a_key_that_may_not_trade_reads_and_is_refused(local: Local) -> None:
    async with a_new_process(local, Credentials("reader", "secret", PASSPHRASE)) as broker:
        assert (await broker.balances())["USDT"].free == 100_000
        with pytest.raises(OrderRefused, match="50120"):
            await broker.place(resting())
        with pytest.raises(OrderRefused, match="50120"):
            await broker.place(stop("s1", Side.BUY, 55_000))


def test_a_key_without_its_passphrase_opens_nothing() -> None:
    async def sleep(_: float) -> None:
        return None

    throttle = Throttle(1, burst=1, monotonic=lambda: 0.0, sleep=sleep)
    with pytest.raises(ConfigurationError, match="OKX needs a passphrase"):
        open_client(LOCAL.profile, Credentials("key", "secret"), throttle, sandbox=False, base_url=None)


async def test_a_venue_whose_clock_differs_is_followed(local: Local) -> None:
    local.server.venue.skew_ms = 60_000
    assert (await local.broker.balances())["USDT"].free == 100_000
