"""Profit targets: of the stop and the target the one that comes first ends the other, and nothing is sold twice."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import pytest

from tests.unit.desk_cases import ACCOUNT, OPERATOR, RUNNER, D, Died, Fault, World, buy, open_world, sell
from tests.unit.feeds import BarFeed, bar, flat
from tests.unit.paper_exchange import BTC, instrument
from trading_core.domain.intents import CORE
from trading_core.domain.market import Ticker
from trading_core.domain.orders import Order, OrderState, OrderType, Purpose, TimeInForce
from trading_core.execution.booking import ABSENT_AFTER
from trading_core.execution.control import Control
from trading_core.execution.verify import verify_ledger, verify_venue
from trading_core.persistence.session import Database
from trading_core.risk.limits_book import LimitsBook

TARGET = D(110)
RISES = {BTC: [flat(0), flat(1), flat(2, "112"), flat(3, "112"), flat(4, "112")]}


async def _hold(world: World, *, target: D = TARGET, strategy: str = "", leg: str = "") -> None:
    await world.send(buy("10", leg=leg, take_profit=target, strategy=strategy))
    await world.settle()
    await world.settle()


async def _exits(world: World) -> list[Order]:
    return await world.orders(Purpose.EXIT)


async def _assert_proven(world: World) -> None:
    findings = [
        *await verify_ledger(RUNNER, world.database, ACCOUNT),
        *await verify_venue(RUNNER, world.database, ACCOUNT, world.broker),
    ]
    assert not [finding for finding in findings if not finding.holds]


async def test_at_its_target_a_holding_is_sold_and_its_stop_is_gone(tmp_path: Path) -> None:
    async with open_world(tmp_path, RISES) as world:
        await _hold(world)
        assert (await _exits(world), await world.covered()) == ([], D("9.98"))
        world.go(2.1)
        (leave,) = (await world.desk.sync(RUNNER)).placed
        request = leave.request
        assert (request.type, request.limit_price, request.time_in_force) == (OrderType.LIMIT, TARGET, TimeInForce.IOC)
        assert (request.quantity, request.reduce_only) == (D("9.98"), True)
        await world.settle()
        assert (await world.held(), (await world.desk.account(RUNNER)).live_orders) == (0, ())
        (stop,) = await world.orders(Purpose.STOP)
        assert stop.state is OrderState.CANCELLED
        assert (await world.desk.account(RUNNER)).portfolio.position(BTC).realised > 0
        async with world.database.reading() as uow:
            intent = await uow.intents.get(leave.intent_id)
        assert intent is not None
        assert (intent.proposer, intent.purpose, intent.reason) == (CORE, Purpose.EXIT, "its profit target")
        await world.settle()
        assert len(await _exits(world)) == 1
        await _assert_proven(world)


async def test_after_its_stop_nothing_is_left_for_the_target(tmp_path: Path) -> None:
    bars = [flat(0), flat(1), bar(2, "100", "100", "85", "88"), flat(3, "120"), flat(4, "120")]
    async with open_world(tmp_path, {BTC: bars}) as world:
        await _hold(world)
        for hour in (3.1, 4.1):
            world.go(hour)
            await world.settle()
        assert await world.held() == 0
        assert await _exits(world) == []
        assert [order.state for order in await world.orders(Purpose.STOP)] == [OrderState.FILLED]
        await _assert_proven(world)


@pytest.mark.parametrize(("half_spread", "reached"), [("0", True), ("0.001", False)])
async def test_it_is_the_bid_that_has_to_reach_the_target(tmp_path: Path, half_spread: str, reached: bool) -> None:
    bars = {BTC: [flat(0), flat(1), flat(2, "110"), flat(3, "110")]}
    async with open_world(tmp_path, bars, half_spread=half_spread) as world:
        await _hold(world)
        world.go(2.1)
        await world.desk.sync(RUNNER)
        assert bool(await _exits(world)) is reached
        assert await world.covered() == (0 if reached else D("9.98"))


async def test_what_the_book_does_not_take_is_stopped_again(tmp_path: Path) -> None:
    thin = [flat(0), flat(1), flat(2, volume="40"), flat(3, "110", volume="40"), flat(4, "105"), flat(5, "105")]
    async with open_world(tmp_path, {BTC: thin}) as world:
        await _hold(world)
        world.go(3.1)
        await world.desk.sync(RUNNER)
        world.go(4.1)
        await world.desk.sync(RUNNER)
        (leave,) = await _exits(world)
        assert (leave.state, leave.filled) == (OrderState.CANCELLED, 4)
        assert await world.covered() == await world.held() == D("5.98")
        await _assert_proven(world)


async def test_a_target_is_reached_again_for_what_was_left(tmp_path: Path) -> None:
    thin = [flat(0), flat(1), flat(2, volume="40"), *(flat(hour, "110", volume="40") for hour in range(3, 7))]
    async with open_world(tmp_path, {BTC: thin}) as world:
        await _hold(world)
        for hour in (3.1, 4.1, 5.1, 6.1):
            world.go(hour)
            await world.settle()
        assert await world.held() == 0
        assert sum(order.filled for order in await _exits(world)) == D("9.98")
        await _assert_proven(world)


@pytest.mark.parametrize(("verb", "sold", "covered"), [("reduce", True, "0"), ("halt", False, "9.98"), ("kill", False, "9.98")])
async def test_a_halted_account_sells_nothing(tmp_path: Path, verb: str, sold: bool, covered: str) -> None:
    async with open_world(tmp_path, RISES) as world:
        await _hold(world)
        await getattr(Control(ACCOUNT, world.database, world.clock), verb)(OPERATOR, "for the test")
        world.go(2.1)
        await world.desk.sync(RUNNER)
        assert bool(await _exits(world)) is sold
        assert await world.covered() == D(covered)


async def test_where_the_stops_are_killed_too_the_target_is(tmp_path: Path) -> None:
    async with open_world(tmp_path, RISES) as world:
        await _hold(world)
        await Control(ACCOUNT, world.database, world.clock).kill(OPERATOR, "for the test", stops_too=True)
        world.go(2.1)
        await world.desk.sync(RUNNER)
        assert (await _exits(world), await world.covered(), await world.held()) == ([], 0, D("9.98"))


async def test_a_target_on_its_way_is_killed(tmp_path: Path) -> None:
    async with open_world(tmp_path, RISES) as world:
        await _hold(world)
        world.go(2.1)
        world.broker.on_place = [Fault.LATE]
        (leave,) = (await world.desk.sync(RUNNER)).placed
        assert leave.state is OrderState.UNKNOWN
        await Control(ACCOUNT, world.database, world.clock).kill(OPERATOR, "for the test")
        assert [order.client_order_id for order in (await world.desk.sync(RUNNER)).withdrawn] == [leave.client_order_id]
        await world.settle(ABSENT_AFTER.total_seconds())
        assert await world.covered() == await world.held() == D("9.98")
        assert len(await _exits(world)) == 1


async def test_a_halt_between_the_look_and_the_sale_is_heard(tmp_path: Path) -> None:
    async with open_world(tmp_path, RISES) as world, await Database.open(tmp_path / "ledger.db") as elsewhere:
        await _hold(world)
        world.go(2.1)
        feed = BarFeed([instrument(BTC)], RISES)  # the venue has its own
        look = feed.ticker

        async def halting(symbol: str, *, as_of: datetime) -> Ticker | None:
            await Control(ACCOUNT, elsewhere, world.clock).halt(OPERATOR, "the news is bad")
            return await look(symbol, as_of=as_of)

        feed.ticker = halting
        await world.another_desk(feed=feed).sync(RUNNER)
        assert await _exits(world) == []
        # Its stop was taken back for the sale, and stands again.
        assert await world.covered() == D("9.98")
        assert len(await world.orders(Purpose.STOP)) == 2


@pytest.mark.parametrize(("strategy", "sold"), [("", True), ("careful", False)])
async def test_a_price_that_is_too_old_for_the_strategy_reaches_nothing(tmp_path: Path, strategy: str, sold: bool) -> None:
    async with open_world(tmp_path, {BTC: [flat(0), flat(1), flat(2, "112")]}) as world:
        book = LimitsBook(desk=world.limits, strategy={"careful": {"max_price_age_seconds": 3600}})
        world.desk = world.another_desk(limits=book)
        await world.desk.sync(RUNNER)
        await _hold(world, strategy=strategy)
        world.go(4.5)  # the last price is an hour and a half old
        await world.desk.sync(RUNNER)
        assert bool(await _exits(world)) is sold


async def test_without_a_price_nothing_is_reached(tmp_path: Path) -> None:
    async with open_world(tmp_path, RISES) as world:
        await _hold(world)
        world.go(2.1)
        await world.another_desk(feed=BarFeed([], {})).sync(RUNNER)
        assert (await _exits(world), await world.covered()) == ([], D("9.98"))


async def test_a_target_that_is_refused_leaves_the_holding_under_its_stop(tmp_path: Path) -> None:
    async with open_world(tmp_path, RISES) as world:
        await _hold(world)
        world.go(2.1)
        world.broker.on_place = [Fault.REFUSED]
        await world.desk.sync(RUNNER)
        assert [order.state for order in await _exits(world)] == [OrderState.REFUSED]
        assert await world.covered() == await world.held() == D("9.98")


async def test_a_stop_that_may_still_work_is_not_sold_beside(tmp_path: Path) -> None:
    async with open_world(tmp_path, RISES) as world:
        await _hold(world)
        world.go(2.1)
        world.broker.on_cancel = [Fault.NEVER_ARRIVED]
        assert (await world.desk.sync(RUNNER)).placed == ()
        assert (await _exits(world), await world.covered()) == ([], D("9.98"))
        # The venue has told by the next sync, and the target is still reached.
        await world.settle()
        await world.settle()
        assert await world.held() == 0


async def test_a_sale_that_works_already_is_let_finish(tmp_path: Path) -> None:
    async with open_world(tmp_path, RISES) as world:
        await _hold(world)
        resting = await world.send(sell("4", type=OrderType.LIMIT, limit_price=D(105)))
        world.go(2.1)
        await world.settle()
        assert [order.client_order_id for order in await _exits(world)] == [resting.client_order_id]
        world.go(3.1)  # the bar has told that it traded there
        await world.settle()
        await world.settle()
        assert await world.held() == 0
        assert sum(order.filled for order in await _exits(world)) == D("9.98")
        await _assert_proven(world)


async def test_a_process_that_dies_on_the_way_loses_nothing_and_sells_once(tmp_path: Path) -> None:
    async with open_world(tmp_path, RISES) as world:
        await _hold(world)
        world.go(2.1)
        for fault in (Fault.DIES_BEFORE, Fault.DIES_AFTER):
            world.broker.on_place = [fault]
            with pytest.raises(Died):
                await world.desk.sync(RUNNER)
            world.desk = world.another_desk()
            await world.settle(ABSENT_AFTER.total_seconds())
            await world.settle()
            if not await world.held():
                break
        assert await world.held() == 0
        sold = [order for order in await _exits(world) if order.filled]
        assert [order.filled for order in sold] == [D("9.98")]
        sent = [request.client_order_id for request in world.broker.attempted]
        assert len(sent) == len(set(sent))
        await _assert_proven(world)


async def test_two_desks_at_the_target_sell_it_once(tmp_path: Path) -> None:
    async with open_world(tmp_path, RISES) as world, await Database.open(tmp_path / "ledger.db") as elsewhere:
        await _hold(world)
        world.go(2.1)
        rivals = [world.desk, world.another_desk(), world.another_desk(database=elsewhere)]
        await asyncio.gather(*(desk.sync(RUNNER) for desk in rivals))
        for _ in range(2):
            await world.settle()
        assert await world.held() == 0
        assert sum(order.filled for order in await _exits(world)) == D("9.98")
        await _assert_proven(world)


async def test_the_newest_entry_tells_where_the_target_is(tmp_path: Path) -> None:
    async with open_world(tmp_path, RISES) as world:
        await _hold(world, target=D(105), leg="a")
        await world.clock.sleep(1)
        await _hold(world, target=D(120), leg="b")
        world.go(2.1)
        world.desk = world.another_desk()  # from the ledger as from memory
        await world.desk.sync(RUNNER)
        assert (await _exits(world), await world.covered()) == ([], D("19.96"))
