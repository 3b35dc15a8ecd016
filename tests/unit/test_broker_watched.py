"""A watched broker: what goes through while its venue fails, and what it takes for a failure."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.conformance_broker import BrokerConformance, Venue
from tests.unit.desk_cases import Fault, LossyBroker
from tests.unit.feeds import START, BarFeed, flat
from tests.unit.paper_exchange import BTC, DEPOSIT, PLAIN, at, instrument, request
from trading_core.brokers.base import Missed, OrderReport
from trading_core.brokers.breaker import Breaker, BreakerRules, BreakerState
from trading_core.brokers.latency import Call, Latencies
from trading_core.brokers.paper.broker import PaperBroker
from trading_core.brokers.paper.store import PaperStore
from trading_core.brokers.watched import WatchedBroker
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import AmbiguousOutcome, BrokerUnavailable, OrderRefused
from trading_core.domain.market import Timeframe
from trading_core.domain.orders import OrderRequest, OrderType, Side


class Watched:
    """A paper exchange behind a bad line, watched."""

    def __init__(self, venue: PaperBroker, clock: SimulatedClock) -> None:
        self.now = 0.0
        self.clock = clock
        self.line = LossyBroker(venue)
        rules = BreakerRules(failures=3, cooling=10, jitter=0)
        self.breaker = Breaker(monotonic=lambda: self.now, jitter=random.Random(1), rules=rules)
        self.broker = WatchedBroker(self.line, breaker=self.breaker, latencies=Latencies(monotonic=lambda: self.now))

    async def cut(self) -> None:
        """Let the line fail until the breaker opens."""
        self.line.reads_fail = True
        for _ in range(3):
            with pytest.raises(BrokerUnavailable, match="line is down"):
                await self.broker.balances()
        assert self.breaker.state is BreakerState.OPEN


@pytest.fixture
async def x(tmp_path: Path) -> AsyncIterator[Watched]:
    clock = SimulatedClock(at(1))
    feed = BarFeed([instrument(BTC)], {BTC: [flat(hour, volume="100000") for hour in range(100)]})
    store = PaperStore(tmp_path / "venue.db")
    async with PaperBroker(feed, clock, Timeframe("1h"), account_id="a", deposit=DEPOSIT, store=store, rules=PLAIN) as venue:
        yield Watched(venue, clock)


class TestWatchedIsABroker(BrokerConformance):
    @pytest.fixture
    async def venue(self, x: Watched) -> Venue:
        async def settle() -> None:
            await x.clock.sleep(1)

        broker = WatchedBroker(x.line.venue_side, breaker=x.breaker, latencies=x.broker.latencies)
        return Venue(broker, BTC, Decimal(1), Decimal(50), START, settle)


def resting(key: str, side: Side = Side.BUY) -> OrderRequest:
    return request(key, side, OrderType.LIMIT, limit="50" if side is Side.BUY else "200")


async def test_open_it_answers_reads_at_once_and_asks_nobody(x: Watched) -> None:
    await x.cut()
    x.line.reads_fail = False
    for read in (x.broker.balances, x.broker.open_orders, x.broker.instruments, lambda: x.broker.fills(since=START)):
        with pytest.raises(BrokerUnavailable, match=r"line is down.*Nothing was assumed.*again in 10 s"):
            await read()


async def test_open_it_keeps_a_buy_and_the_venue_never_hears_of_it(x: Watched) -> None:
    await x.cut()
    with pytest.raises(OrderRefused, match="nothing was sent"):
        await x.broker.place(resting("c1"))
    assert x.line.attempted == []


async def test_a_buy_is_never_the_trial(x: Watched) -> None:
    await x.cut()
    x.now += 10
    assert x.breaker.state is BreakerState.HALF_OPEN
    with pytest.raises(OrderRefused, match="nothing was sent"):
        await x.broker.place(resting("c1"))
    x.line.reads_fail = False
    await x.broker.balances()
    await x.broker.place(resting("c1"))
    assert [sent.client_order_id for sent in x.line.attempted] == ["c1"]


async def test_open_it_lets_sales_through_and_one_that_is_answered_closes_it(x: Watched) -> None:
    await x.broker.place(request("c1"))
    await x.clock.sleep(1)
    await x.cut()
    x.line.on_place = [Fault.NEVER_ARRIVED]
    with pytest.raises(AmbiguousOutcome):
        await x.broker.place(resting("c2", Side.SELL))
    assert x.breaker.state is BreakerState.OPEN
    await x.broker.place(request("c3", Side.SELL, OrderType.STOP, stop="90", quantity="0.5"))
    assert x.breaker.state is BreakerState.CLOSED


async def test_open_it_lets_cancels_through(x: Watched) -> None:
    await x.broker.place(resting("c1"))
    await x.cut()
    await x.broker.cancel("c1", BTC)
    assert x.breaker.state is BreakerState.CLOSED


async def test_open_it_lets_an_unknown_order_be_looked_up_so_that_it_can_end(x: Watched) -> None:
    x.line.on_place = [Fault.REPLY_LOST]
    with pytest.raises(AmbiguousOutcome):
        await x.broker.place(resting("c1"))
    await x.cut()
    with pytest.raises(BrokerUnavailable):
        await x.broker.order("c1", BTC)
    x.line.reads_fail = False
    assert await x.broker.order("c1", BTC) is not None
    assert x.breaker.state is BreakerState.CLOSED
    assert await x.broker.order("never sent", BTC) is None


async def test_a_venue_that_refuses_is_there(x: Watched) -> None:
    x.line.on_place = [Fault.REFUSED] * 9
    for number in range(9):
        with pytest.raises(OrderRefused, match="does not want it"):
            await x.broker.place(resting(f"c{number}"))
    assert x.breaker.state is BreakerState.CLOSED


async def test_a_refusal_made_here_because_the_venue_could_not_be_read_is_a_failure(x: Watched) -> None:
    class Unread(LossyBroker):
        async def place(self, request: OrderRequest) -> OrderReport:
            raise OrderRefused("its filters are not known") from BrokerUnavailable("no markets")

    broker = WatchedBroker(Unread(x.line), breaker=x.breaker, latencies=x.broker.latencies)
    for _ in range(3):
        with pytest.raises(OrderRefused, match="filters"):
            await broker.place(resting("c1"))
    assert x.breaker.state is BreakerState.OPEN


async def test_three_lost_answers_open_it(x: Watched) -> None:
    x.line.on_place = [Fault.REPLY_LOST, Fault.NEVER_ARRIVED, Fault.REPLY_LOST]
    for number in range(3):
        with pytest.raises(AmbiguousOutcome):
            await x.broker.place(resting(f"c{number}"))
    assert x.breaker.state is BreakerState.OPEN


async def test_instruments_that_come_from_memory_prove_nothing(x: Watched) -> None:
    await x.cut()
    x.now += 10
    await x.broker.instruments()
    await x.broker.probe(lambda broker: broker.instruments(), from_memory=True)
    assert x.breaker.state is BreakerState.HALF_OPEN
    assert x.broker.latencies.of(Call.READ).count == 3


async def test_a_call_that_is_cancelled_says_nothing_and_frees_the_trial(x: Watched) -> None:
    await x.cut()
    x.now += 10
    x.line.reads_fail = False
    hanging = asyncio.Event()

    async def hang(_: object) -> None:
        await hanging.wait()

    task = asyncio.create_task(x.broker.probe(hang))
    await asyncio.sleep(0)
    with pytest.raises(BrokerUnavailable, match="was not asked"):
        await x.broker.balances()  # somebody else is the trial
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await x.broker.balances()
    assert x.breaker.state is BreakerState.CLOSED


async def test_each_call_is_measured_by_its_kind(x: Watched) -> None:
    await x.broker.place(resting("c1"))
    await x.broker.cancel("c1", BTC)
    await x.broker.order("c1", BTC)
    await x.broker.balances()
    assert {call: latency.count for call, latency in x.broker.latencies.all().items()} == {
        Call.PLACE: 1,
        Call.CANCEL: 1,
        Call.READ: 2,
    }


async def test_the_stream_is_handed_on(x: Watched) -> None:
    broker = WatchedBroker(x.line.venue_side, breaker=x.breaker, latencies=x.broker.latencies)
    updates = broker.updates()
    assert await anext(updates) == Missed()
    await updates.aclose()
