"""The accounts of a process: which one an order would go to, and why not to the others."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.desk_cases import Fault, LossyBroker
from tests.unit.paper_exchange import BTC, ETH, at, instrument, request
from tests.unit.routing_cases import Venues, venues
from tests.unit.watched_accounts import account
from tests.venues.binance import LOCAL as BINANCE
from tests.venues.local import opened, serving
from trading_core.brokers.base import Balance, OrderReport
from trading_core.brokers.breaker import BreakerState
from trading_core.brokers.health import OpenAccount
from trading_core.brokers.latency import Call
from trading_core.brokers.manager import BrokerManager, Route
from trading_core.brokers.venues.client import Credentials
from trading_core.domain.clock import SimulatedClock, SystemClock
from trading_core.domain.errors import AmbiguousOutcome, ConfigurationError, InvalidInput
from trading_core.domain.instruments import Instrument
from trading_core.domain.orders import Side

D = Decimal


@pytest.fixture
async def x(tmp_path: Path) -> AsyncIterator[Venues]:
    async with venues(tmp_path) as opened_venues:
        yield opened_venues


@pytest.fixture
def manager(x: Venues) -> BrokerManager:
    accounts = [account(name, line, monotonic=lambda: x.now) for name, line in x.lines.items()]
    return BrokerManager(accounts, clock=x.clock)


def usable(routes: tuple[Route, ...]) -> list[str]:
    return [route.account_id for route in routes if route.usable]


def reason(routes: tuple[Route, ...], name: str) -> str:
    return next(route.reason for route in routes if route.account_id == name)


async def test_the_cheapest_comes_first_and_says_why(manager: BrokerManager) -> None:
    routes = await manager.routes(BTC, Side.BUY, D(10))
    assert usable(routes) == ["cheap", "fair", "dear"]
    assert [route.fee for route in routes] == [D("0.010"), D("0.020"), D("0.030")]
    assert reason(routes, "cheap") == "fee 0.1 % (0.01 BTC), 0 ms"


async def test_a_symbol_that_nobody_lists_has_no_route(manager: BrokerManager) -> None:
    routes = await manager.routes("DOGE/USDT", Side.BUY, D(10))
    assert usable(routes) == []
    assert {route.reason for route in routes} == {"it does not list DOGE/USDT"}
    assert [route.account_id for route in routes] == ["cheap", "dear", "fair"]


async def test_a_quantity_below_the_minimum_or_above_the_maximum_has_no_route(x: Venues, manager: BrokerManager) -> None:
    assert "is below its minimum of 0.001" in reason(await manager.routes(BTC, Side.BUY, D("0.0009")), "fair")
    assert "is below its minimum" in reason(await manager.routes(BTC, Side.BUY, D(0)), "fair")
    one = FixedBroker(replace(instrument(), max_quantity=D(5)))
    routes = await BrokerManager([account("a", one)], clock=x.clock).routes(BTC, Side.BUY, D(6))
    assert reason(routes, "a") == "6 is above its maximum of 5"


async def test_an_open_breaker_bars_a_buy_at_once(x: Venues, manager: BrokerManager) -> None:
    await manager.routes(BTC, Side.BUY, D(1))
    x.lines["cheap"].on_place = [Fault.NEVER_ARRIVED] * 3
    broker = manager.account("cheap").broker
    for number in range(3):
        with pytest.raises(AmbiguousOutcome, match="no answer"):
            await broker.place(request(f"c{number}"))
    assert broker.breaker.state is BreakerState.OPEN
    routes = await manager.routes(BTC, Side.BUY, D(1))
    assert usable(routes) == ["fair", "dear"]
    assert "its last calls failed" in reason(routes, "cheap")
    x.now += 10  # half-open: a buy is not what it is tried with
    routes = await manager.routes(BTC, Side.BUY, D(1))
    assert broker.breaker.state is BreakerState.HALF_OPEN
    assert usable(routes) == ["fair", "dear"]
    assert reason(routes, "cheap") == "its last calls failed: no answer in time"


async def test_an_account_that_is_not_well_is_left_out_until_a_later_look_finds_it_well(
    x: Venues, manager: BrokerManager
) -> None:
    x.lines["cheap"].reads_fail = True
    routes = await manager.routes(BTC, Side.BUY, D(1))
    assert usable(routes) == ["fair", "dear"]
    assert "line is down" in reason(routes, "cheap")
    x.lines["cheap"].reads_fail = False
    assert usable(await manager.routes(BTC, Side.BUY, D(1))) == ["fair", "dear"]  # not looked at again yet
    await x.clock.sleep(61)
    assert usable(await manager.routes(BTC, Side.BUY, D(1))) == ["cheap", "fair", "dear"]


async def test_a_sale_goes_only_where_the_holding_is_also_if_that_account_is_not_well(x: Venues, manager: BrokerManager) -> None:
    assert usable(await manager.routes(BTC, Side.SELL, D(1))) == []
    await x.lines["dear"].place(request("c1", quantity="2"))
    await x.clock.sleep(1)
    routes = await manager.routes(BTC, Side.SELL, D(1))
    assert usable(routes) == ["dear"]
    assert reason(routes, "cheap") == "it holds 0 BTC"
    assert usable(await manager.routes(BTC, Side.SELL, D(3))) == []
    assert usable(await manager.routes(ETH, Side.SELL, D(1))) == []


async def test_a_key_that_cannot_trade_is_no_route() -> None:
    with serving(BINANCE) as server:
        async with opened(BINANCE, server) as local:
            reader = next(key for key in BINANCE.keys if not key.can_trade)
            poor = await local.anew(Credentials(reader.key, reader.secret))
            async with BrokerManager([account("rich", local.broker), account("poor", poor)], clock=SystemClock()) as manager:
                routes = await manager.routes(BINANCE.symbol, Side.BUY, D(1))
    assert usable(routes) == ["rich"]
    assert reason(routes, "poor") == "its key cannot trade"


async def test_an_account_that_is_open_twice_and_one_that_is_not_open_are_errors(x: Venues, manager: BrokerManager) -> None:
    line = x.lines["cheap"]
    with pytest.raises(ConfigurationError, match="open twice"):
        BrokerManager([account("a", line), account("a", line)], clock=x.clock)
    with pytest.raises(InvalidInput, match=r"'nowhere' is not open here.*cheap, dear, fair"):
        manager.account("nowhere")


async def test_all_are_closed_also_when_one_fails_to() -> None:
    brokers = [FixedBroker(instrument()) for _ in range(3)]
    brokers[1].fails_to_close = True
    accounts = [account(str(number), broker) for number, broker in enumerate(brokers)]
    manager = BrokerManager(accounts, clock=SimulatedClock(at(0)))
    with pytest.raises(OSError, match="stuck"):
        await manager.close()
    assert all(broker.closed for broker in brokers)


@given(
    st.permutations(range(5)),
    st.lists(st.tuples(st.sampled_from(["0.001", "0.002"]), st.sampled_from([0, 5, 50])), min_size=5, max_size=5),
)
async def test_the_ranking_is_by_fee_then_latency_then_id_whatever_order_the_accounts_come_in(
    order: list[int], kinds: list[tuple[str, int]]
) -> None:
    accounts = [quick(f"a{number}", *kinds[number]) for number in order]
    routes = await BrokerManager(accounts, clock=SimulatedClock(at(0))).routes(BTC, Side.BUY, D(1))
    ranked = sorted(range(5), key=lambda number: (D(kinds[number][0]), kinds[number][1], number))
    assert [route.account_id for route in routes] == [f"a{number}" for number in ranked]


def quick(account_id: str, fee: str, milliseconds: int) -> OpenAccount:
    """An account whose one order took so long."""
    readings = iter([0.0, 0.0, milliseconds / 1000])
    one = account(account_id, FixedBroker(replace(instrument(), taker_fee=D(fee))), monotonic=lambda: next(readings, 1.0))
    next(readings)
    with one.broker.latencies.measured(Call.PLACE):
        pass
    return one


class FixedBroker(LossyBroker):
    """A broker with one market and nothing in it."""

    def __init__(self, one: Instrument) -> None:
        self.one, self.closed, self.fails_to_close = one, False, False
        self.venue, self.is_paper = "fixed", True

    async def instruments(self) -> Mapping[str, Instrument]:
        return {self.one.symbol: self.one}

    async def balances(self) -> Mapping[str, Balance]:
        return {}

    async def open_orders(self) -> list[OrderReport]:
        return []

    async def close(self) -> None:
        self.closed = True
        if self.fails_to_close:
            raise OSError("stuck")
