"""Stops: every holding that can have one has one, placed by the core."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.unit.desk_cases import QUIET, RUNNER, TRADER, D, Fault, buy, codes, open_world, sell
from tests.unit.feeds import bar, flat
from tests.unit.paper_exchange import BTC, ETH
from trading_core.domain.intents import CORE, Verdict
from trading_core.domain.orders import OrderState, OrderType, Purpose
from trading_core.execution.protection import PATIENCE
from trading_core.persistence.session import Database
from trading_core.risk.checks import ReasonCode


async def test_every_part_of_an_entry_gets_its_stop(tmp_path: Path) -> None:
    thin = [flat(hour, volume="40") for hour in range(6)]
    async with open_world(tmp_path, {BTC: thin}) as world:
        await world.send(buy("10", type=OrderType.MARKET, limit_price=None))
        covered = []
        for hour in (1.1, 2.1, 3.1, 4.1):
            world.go(hour)
            await world.desk.sync(RUNNER)
            covered.append((await world.held(), await world.covered()))
        # 4, 8 and 10 bought, less 0.2 % each time; the stops come in whole lots.
        assert covered == [(D("3.992"), D("3.992")), (D("7.984"), D("7.984")), (D("9.98"), D("9.98")), (D("9.98"), D("9.98"))]
        assert len(await world.orders(Purpose.STOP)) == 3
        assert await world.desk.agrees(RUNNER)


async def test_the_cores_orders_are_on_record_like_any_other(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        entry = await world.hold()
        (stop,) = await world.orders(Purpose.STOP)
        async with world.database.reading() as uow:
            intent = await uow.intents.get(stop.intent_id)
            (decision,) = await uow.intents.decisions_of(stop.intent_id)
        assert intent is not None
        assert (intent.proposer, intent.evidence, intent.run_id) == (CORE, (entry.intent_id,), entry.run_id)
        assert (decision.verdict, decision.checks[0].code) == (Verdict.APPROVED, "protective")


async def test_a_stop_sells_what_it_covers(tmp_path: Path) -> None:
    bars = [flat(0), flat(1), bar(2, "100", "100", "85", "88"), flat(3, "88")]
    async with open_world(tmp_path, {BTC: bars}) as world:
        await world.hold("10")
        world.go(3.1)
        (fill,) = (await world.desk.sync(RUNNER)).fills
        assert (fill.quantity, fill.price) == (D("9.98"), 90)
        assert await world.held() == 0
        assert (await world.desk.account(RUNNER)).live_orders == ()
        assert (await world.desk.account(RUNNER)).risk.consecutive_losses == 1


async def test_a_stop_that_the_market_has_passed_becomes_a_sale(tmp_path: Path) -> None:
    bars = [flat(0), flat(1), bar(2, "80", "80", "80", "80"), flat(3, "80")]
    async with open_world(tmp_path, {BTC: bars}) as world:
        await world.send(buy("10"))
        world.go(2.1)  # bought at 100; before it was seen, the market opened far below the stop
        await world.desk.sync(RUNNER)
        assert [(o.purpose, o.state) for o in await world.orders()][1:] in (
            [(Purpose.STOP, OrderState.REFUSED), (Purpose.EXIT, OrderState.OPEN)],
            [(Purpose.EXIT, OrderState.OPEN), (Purpose.STOP, OrderState.REFUSED)],
        )
        await world.settle()
        assert await world.held() == 0
        assert await world.desk.agrees(RUNNER)


async def test_where_the_venue_takes_no_stop_the_holding_is_sold(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.broker.on_place = [None, Fault.REFUSED]
        await world.send(buy("10"))
        await world.settle()
        await world.settle()
        assert await world.held() == 0
        assert [order.purpose for order in await world.orders() if order.state is OrderState.FILLED] == [
            Purpose.ENTRY,
            Purpose.EXIT,
        ]


async def test_where_it_takes_neither_it_is_asked_again_at_the_next_sync(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.broker.on_place = [None, Fault.REFUSED, Fault.REFUSED]
        await world.send(buy("10"))
        await world.settle()
        assert (await world.held(), await world.covered()) == (D("9.98"), 0)
        await world.settle()
        assert await world.covered() == D("9.98")
        assert len({order.client_order_id for order in await world.orders()}) == 4


async def test_what_the_venue_would_not_take_as_a_stop_is_not_bought(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        # 0.011 less the fee is worth 1.09 at the market and 0.54 at the stop: the venue's minimum is 1.
        decision = await world.desk.propose(TRADER, buy("0.011", stop_price=D(50)))
        assert codes(decision) == (ReasonCode.MIN_NOTIONAL,)


async def test_dust_at_the_market_is_not_offered_again_and_again(tmp_path: Path) -> None:
    bars = [flat(0), flat(1), flat(2, "10"), flat(3, "10")]
    async with open_world(tmp_path, {BTC: bars}) as world:
        await world.send(buy("0.02"))
        world.go(2.1)
        for _ in range(3):
            await world.settle()
        assert len(await world.orders()) == 1


async def test_a_stop_needs_no_market_data(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.send(buy("10"))
        await world.clock.sleep(1)
        deaf = type(world.feed)([], {}, half_spread="0")
        blind = world.another_desk(feed=deaf)
        await blind.sync(RUNNER)
        assert await world.covered() == D("9.98")
        (stop,) = await world.orders(Purpose.STOP)
        assert stop.arrival_price is None


async def test_the_newest_entry_tells_where_the_stop_goes(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold("10", stop="90")
        await world.send(buy("5", leg="more", stop_price=D(95)))
        await world.settle()
        stops = {order.request.stop_price: order.request.quantity for order in await world.orders(Purpose.STOP, live=True)}
        assert stops == {D(90): D("9.98"), D(95): D("4.99")}


async def test_two_syncs_at_once_place_one_stop(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.send(buy("10"))
        await world.clock.sleep(1)
        async with await Database.open(tmp_path / "ledger.db") as other:
            rivals = [world.desk, world.desk, world.another_desk(), world.another_desk(database=other)]
            await asyncio.gather(*(desk.sync(RUNNER) for desk in rivals))
        (stop,) = await world.orders(Purpose.STOP)
        assert (stop.state, stop.request.quantity) == (OrderState.OPEN, D("9.98"))
        assert len(await world.orders()) == 2


async def test_a_stop_outlives_the_desk(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold("10")
    async with open_world(tmp_path, hours=2) as world:
        assert await world.covered() == await world.held() == D("9.98")
        assert len(await world.orders(Purpose.STOP)) == 1
        await world.send(sell("9.98"))
        await world.settle()
        assert await world.held() == 0


async def test_holdings_are_protected_one_by_one(tmp_path: Path) -> None:
    async with open_world(tmp_path, QUIET) as world:
        # Both stops are sent at once; then the first is refused, and so is the sale in its place.
        world.broker.on_place = [None, None, Fault.REFUSED, None, Fault.REFUSED]
        await world.send(buy("10"))
        await world.send(buy("20", symbol=ETH))
        await world.settle()
        # Bad luck with the first does not concern the second.
        assert (await world.covered(BTC), await world.covered(ETH)) == (0, D("19.96"))


async def test_a_venue_that_takes_neither_the_stop_nor_the_sale_is_asked_less_often_and_keeps_nobody_from_leaving(
    tmp_path: Path,
) -> None:
    tempo = {"orders_per_minute": 4, "orders_per_day": 4, "duplicate_window_seconds": 60}
    async with open_world(tmp_path, **tempo) as world:
        world.broker.on_place = [None, *[Fault.REFUSED] * 1000]
        await world.send(buy("10"))
        for _ in range(120):
            await world.settle(5)
        tried = len(world.broker.attempted) - 1
        assert 2 * PATIENCE < tried <= 2 * (PATIENCE + 10)  # ten minutes, and once a minute when it has often been in vain
        # What the core tries counts for nobody's tempo, and is nobody's repeat.
        assert (await world.desk.propose(TRADER, sell("9.98"))).verdict is Verdict.APPROVED
        world.broker.on_place = []
        await world.settle(60)
        assert await world.covered() == await world.held() == D("9.98")


async def test_a_market_entry_is_protected_too(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.send(buy("10", type=OrderType.MARKET, limit_price=None, worst_price=D("100.5")))
        await world.settle()
        assert await world.covered() == await world.held() == D("9.98")
        assert (await world.desk.propose(TRADER, sell("9.98"))).verdict is Verdict.APPROVED


async def test_a_holding_whose_stop_price_is_lost_is_left_alone(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.send(buy("10"))
        await world.clock.sleep(1)
        async with world.database.transaction() as uow:  # somebody with the database
            await uow.intents._connection.exec_driver_sql("UPDATE intents SET stop_price = NULL")
        assert (await world.another_desk().sync(RUNNER)).placed == ()
        assert await world.held() == D("9.98")
