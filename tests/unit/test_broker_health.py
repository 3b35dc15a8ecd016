"""Health checks: what is told of an account, that nothing is raised, and that one broken venue spoils no other's report."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.desk_cases import open_world
from tests.unit.watched_accounts import account
from tests.venues.binance import LOCAL as BINANCE
from tests.venues.faults import BAD_KEY, ERROR_BEFORE, late
from tests.venues.kraken import LOCAL as KRAKEN
from tests.venues.local import Local, QuickClock, opened, serving
from tests.venues.server import VenueServer
from trading_core.brokers.breaker import BreakerState
from trading_core.brokers.health import HealthReport, check, check_all
from trading_core.brokers.latency import Call
from trading_core.brokers.permissions import KeyPermissions
from trading_core.brokers.throttle import Throttle
from trading_core.brokers.venues.client import Credentials
from trading_core.domain.clock import SystemClock
from trading_core.domain.orders import OrderRequest, OrderType, Side

CLOCK = SystemClock()


@pytest.fixture(scope="module")
def server() -> Iterator[VenueServer]:
    with serving(BINANCE) as running:
        yield running


@pytest.fixture(scope="module")
def kraken() -> Iterator[VenueServer]:
    with serving(KRAKEN) as running:
        yield running


@pytest.fixture
async def local(server: VenueServer) -> AsyncIterator[Local]:
    async with opened(BINANCE, server) as x:
        yield x


@asynccontextmanager
async def with_key(local: Local, name: str) -> AsyncIterator[Local]:
    key = next(key for key in BINANCE.keys if key.key == name)
    broker = await local.anew(Credentials(key.key, key.secret))
    try:
        yield replace(local, broker=broker)
    finally:
        await broker.close()


async def test_a_sound_account_tells_everything(local: Local) -> None:
    throttle = Throttle(1, burst=4, monotonic=lambda: 0.0, sleep=CLOCK.sleep)
    await throttle.acquire(3)
    await local.broker.place(OrderRequest("c1", local.symbol, Side.BUY, OrderType.LIMIT, Decimal("0.5"), Decimal(40_000)))
    report = await check(account("a", local.broker, throttle), clock=CLOCK)
    assert (report.account_id, report.venue, report.is_paper) == ("a", "binance", False)
    assert (report.reachable, report.error, report.unknown, report.healthy) == (True, "", (), True)
    assert (report.instruments, report.open_orders) == (1, 1)
    assert report.balances == 1
    assert report.permissions == KeyPermissions(True, True, False, False)
    assert report.clock_skew_ms == 0
    assert report.budget_left == pytest.approx(0.25)
    assert report.breaker is BreakerState.CLOSED
    assert report.latency[Call.READ].count == 4
    assert [line.partition(":")[0] for line in report.warnings] == ["the key works from any address"]


async def test_the_paper_exchange_has_no_key_and_no_clock_of_its_own(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        report = await check(account("p", world.broker.venue_side), clock=world.clock)
    assert report.healthy
    assert report.is_paper
    assert (report.permissions, report.clock_skew_ms, report.budget_left, report.warnings) == (None, None, None, ())
    assert report.checked_at == world.clock.now()


async def test_a_key_that_withdraws_and_one_that_cannot_trade_are_warned_of(local: Local) -> None:
    async with with_key(local, "treasurer") as rich, with_key(local, "reader") as poor:
        first, second = await check_all([account("rich", rich.broker), account("poor", poor.broker)], clock=CLOCK)
    assert any("the key can withdraw" in line for line in first.warnings)
    assert any("the key cannot trade" in line for line in second.warnings)
    assert first.healthy
    assert second.healthy


@pytest.mark.parametrize(("skew_ms", "side"), [(5_000, "behind"), (-5_000, "ahead of")])
async def test_a_clock_that_is_off_is_told_to_the_millisecond_and_warned_of(local: Local, skew_ms: int, side: str) -> None:
    local.server.venue.skew_ms = skew_ms
    report = await check(account("a", local.broker), clock=CLOCK)
    assert report.healthy  # what is off is taken off again
    assert report.clock_skew_ms is not None
    assert report.clock_skew_ms == pytest.approx(-skew_ms, abs=1000)
    assert abs(report.clock_skew_ms) <= abs(skew_ms)
    assert any(f"ms {side} the venue's" in line for line in report.warnings)


async def test_a_venue_that_tells_whole_seconds_is_never_said_to_be_further_off_than_it_is(kraken: VenueServer) -> None:
    async with opened(KRAKEN, kraken) as x:
        for skew_ms in range(0, 1000, 97):
            x.server.venue.skew_ms = skew_ms
            found = await x.broker.clock_skew_ms()
            assert found is not None
            assert -skew_ms <= found <= 0


async def test_one_broken_venue_leaves_the_others_as_they_are(local: Local, kraken: VenueServer, tmp_path: Path) -> None:
    async with opened(KRAKEN, kraken) as broken, open_world(tmp_path) as world:
        kraken.faults.always(ERROR_BEFORE)
        accounts = [account("k", broken.broker), account("b", local.broker), account("p", world.broker.venue_side)]
        reports = await check_all(accounts, clock=CLOCK)
    assert [report.healthy for report in reports] == [False, True, True]
    down = reports[0]
    assert (down.reachable, down.instruments, down.balances) == (False, None, None)
    assert down.error.startswith("Kraken did not give its markets")
    assert "\n" not in down.error


async def test_a_venue_that_does_not_answer_is_given_up_in_time(local: Local) -> None:
    local.server.faults.always(late(600), "balance")
    report = await check(account("a", local.broker), clock=CLOCK, within=1)
    assert report.reachable
    assert not report.healthy
    assert report.error == "Binance did not answer within 1 s: check the network and the venue's status page"
    assert (report.instruments, report.open_orders, report.balances) == (1, 0, None)


async def test_a_key_that_is_turned_away_is_reachable_and_says_what_to_do(local: Local) -> None:
    local.server.faults.always(BAD_KEY, "balance", "open_orders", "permissions")
    report = await check(account("a", local.broker), clock=CLOCK)
    assert report.reachable
    assert report.error == (
        "Binance does not accept the key: store key and secret again, or make a new key at the venue, of this network"
    )


async def test_permissions_that_cannot_be_read_are_a_warning_and_no_reason_not_to_trade(local: Local) -> None:
    local.server.faults.always(ERROR_BEFORE, "permissions")
    report = await check(account("a", local.broker), clock=CLOCK)
    assert report.healthy
    assert report.permissions is None
    assert any(line.startswith("what the key may do is not known") for line in report.warnings)


async def test_a_check_goes_through_an_open_breaker_and_closes_it(local: Local) -> None:
    one = account("a", local.broker)
    local.server.faults.always(ERROR_BEFORE)
    for _ in range(3):
        report = await check(one, clock=CLOCK)
    assert report.breaker is BreakerState.OPEN
    local.server.faults.clear()
    report = await check(one, clock=CLOCK)
    assert report.healthy
    assert report.breaker is BreakerState.CLOSED


async def test_a_venue_that_went_away_is_not_reachable_because_its_markets_are_remembered(local: Local) -> None:
    one = account("a", local.broker)
    assert (await check(one, clock=CLOCK)).healthy
    local.server.faults.always(ERROR_BEFORE)
    report = await check(one, clock=CLOCK)
    assert (report.reachable, report.instruments, report.balances) == (False, 1, None)
    assert report.breaker is BreakerState.OPEN


async def test_whatever_a_broker_does_no_check_raises(local: Local) -> None:
    class Wild:
        venue, is_paper = "wild", True

        def __getattr__(self, name: str) -> object:
            raise ZeroDivisionError(f"no {name}")

    report = await check(account("w", Wild()), clock=CLOCK)
    assert isinstance(report, HealthReport)
    assert (report.reachable, report.error) == (False, "ZeroDivisionError: no instruments")


async def test_the_budget_left_falls_with_each_request_and_fills_again() -> None:
    now = 0.0
    throttle = Throttle(2, burst=4, monotonic=lambda: now, sleep=QuickClock().sleep)
    seen = [throttle.left]
    for _ in range(4):
        await throttle.acquire()
        seen.append(throttle.left)
    assert seen == [1, 0.75, 0.5, 0.25, 0]
    now = 1.0
    assert throttle.left == 0.5
    throttle.hold_off(5)
    assert throttle.left == 0
    now = 6.0
    assert throttle.left == 1
