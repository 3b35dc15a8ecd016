"""When nobody knows what became of an order: the policy of docs/order-path.md."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.desk_cases import RUNNER, TRADER, D, Fault, World, buy, codes, open_world, sell
from tests.unit.feeds import flat
from tests.unit.paper_exchange import BTC, ETH, request
from trading_core.domain.errors import BrokerUnavailable, LedgerError
from trading_core.domain.intents import Verdict, make_client_order_id
from trading_core.domain.orders import Order, OrderEvent, OrderState, Purpose
from trading_core.execution.booking import ABSENT_AFTER
from trading_core.execution.forms import WorkingStyle, make_order, make_request
from trading_core.risk.checks import ReasonCode

PATIENCE = ABSENT_AFTER.total_seconds()


async def _entries_blocked(world: World) -> bool:
    """Whether another entry in the symbol is denied; one in another symbol must pass."""
    leg = f"probe {world.clock.now()}"
    blocked = await world.desk.propose(TRADER, buy("1", leg=leg))
    free = await world.desk.propose(TRADER, buy("1", leg=leg, symbol=ETH))
    assert free.verdict is Verdict.APPROVED
    return ReasonCode.UNKNOWN_ORDER in blocked.reason_codes


async def _events(world: World, order: Order) -> list[OrderEvent]:
    async with world.database.reading() as uow:
        return [step.event for step in await uow.orders.events(order.client_order_id)]


async def test_a_lost_reply_is_unknown_until_the_venue_tells(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.broker.on_place = [Fault.REPLY_LOST]
        order = await world.send(buy())
        assert (order.state, order.reason) == (OrderState.UNKNOWN, "the connection broke.")
        assert await _entries_blocked(world)
        # Asked again, the desk gives the order it has and sends nothing.
        assert await world.desk.submit(TRADER, order.intent_id, WorkingStyle.NOW) == order
        await world.clock.sleep(1)
        (fill,) = (await world.desk.sync(RUNNER)).fills
        assert (await world.desk.sync(RUNNER)).fills == ()
        assert fill.client_order_id == order.client_order_id
        assert (await world.order(buy())).state is OrderState.FILLED
        assert not await _entries_blocked(world)
        entries = [r for r in world.broker.arrived if r.side is order.side]
        assert entries == [order.request]
        assert await world.desk.agrees(RUNNER)


async def test_a_lost_reply_of_a_resting_order_is_found_open(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.broker.on_place = [Fault.REPLY_LOST]
        order = await world.send(buy(limit_price=D(95)))
        await world.settle()
        found = await world.order(buy())
        assert (found.state, found.venue_order_id) == (OrderState.OPEN, "o-000001")
        assert await _events(world, order) == [OrderEvent.AMBIGUOUS, OrderEvent.ACCEPTED]


async def test_an_order_that_never_arrived_ends_by_the_venues_word_and_not_at_once(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.broker.on_place = [Fault.NEVER_ARRIVED]
        order = await world.send(buy("600"))
        # The venue has no such order, and it may still be on its way.
        await world.settle(PATIENCE - 1)
        assert (await world.order(buy())).state is OrderState.UNKNOWN
        assert ReasonCode.INSUFFICIENT_CASH in codes(await world.desk.propose(TRADER, buy("600", symbol=ETH)))
        await world.settle(2)
        ended = await world.order(buy())
        assert (ended.state, ended.reason) == (OrderState.REFUSED, "the venue has no such order")
        assert (await world.desk.propose(TRADER, buy("600", leg="b", symbol=ETH))).verdict is Verdict.APPROVED
        assert await world.desk.submit(TRADER, order.intent_id, WorkingStyle.NOW) == ended
        assert world.broker.arrived == []


@pytest.mark.parametrize("limit", [101, 95])
async def test_an_order_that_arrives_after_it_was_given_up_is_taken_back_into_the_books(tmp_path: Path, limit: int) -> None:
    async with open_world(tmp_path) as world:
        world.broker.on_place = [Fault.LATE]
        order = await world.send(buy(limit_price=D(limit)))
        await world.settle(PATIENCE + 1)
        assert (await world.order(buy())).state is OrderState.REFUSED
        await world.broker.deliver()
        await world.settle()
        filled = limit == 101
        assert (await world.order(buy())).state is (OrderState.FILLED if filled else OrderState.OPEN)
        assert await world.covered() == await world.held() == (D("9.98") if filled else 0)
        assert await world.desk.agrees(RUNNER)
        assert [r for r in world.broker.arrived if r.client_order_id == order.client_order_id] == [order.request]


async def test_a_late_order_that_fills_in_part_is_live_again(tmp_path: Path) -> None:
    thin = {BTC: [flat(hour, volume="40") for hour in range(4)]}
    async with open_world(tmp_path, thin) as world:
        world.broker.on_place = [Fault.LATE]
        await world.send(buy("10"))
        await world.settle(PATIENCE + 1)
        await world.broker.deliver()
        await world.settle()
        order = await world.order(buy())
        assert (order.state, order.filled) == (OrderState.PARTIALLY_FILLED, 4)
        assert await world.desk.agrees(RUNNER)


async def test_a_process_that_died_before_the_send(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await _write_without_sending(world)
        restarted = world.another_desk()
        await restarted.sync(RUNNER)
        assert (await world.order(buy())).state is OrderState.SUBMITTING
        await world.clock.sleep(PATIENCE)
        await restarted.sync(RUNNER)
        ended = await world.order(buy())
        assert ended.state is OrderState.REFUSED
        assert await restarted.submit(TRADER, buy().intent_id, WorkingStyle.NOW) == ended
        assert world.broker.arrived == []


@pytest.mark.parametrize(("limit", "state"), [(101, OrderState.FILLED), (95, OrderState.OPEN)])
async def test_a_process_that_died_before_the_answer_was_written(tmp_path: Path, limit: int, state: OrderState) -> None:
    async with open_world(tmp_path) as world:
        order = await _write_without_sending(world, limit)
        await world.broker.place(order.request)
        await world.clock.sleep(1)
        restarted = world.another_desk()
        await restarted.sync(RUNNER)
        assert (await world.order(buy())).state is state
        assert await restarted.submit(TRADER, buy().intent_id, WorkingStyle.NOW) == await world.order(buy())
        assert len([r for r in world.broker.arrived if r.client_order_id == order.client_order_id]) == 1
        assert await restarted.agrees(RUNNER)


async def _write_without_sending(world: World, limit: int = 101) -> Order:
    """What a process leaves that is killed right before the network call."""
    entry = buy(limit_price=D(limit))
    await world.desk.propose(TRADER, entry)
    sending = make_request(entry, world.desk.instruments[BTC], None, WorkingStyle.NOW)
    order = make_order(entry, sending, None, world.clock.now())
    async with world.database.transaction() as uow:
        await uow.orders.add(order)
    return order


async def test_a_sync_beside_a_slow_send_does_not_declare_the_order_absent(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.broker.sending = asyncio.Event()
        entry = buy()
        await world.desk.propose(TRADER, entry)
        sending = asyncio.create_task(world.desk.submit(TRADER, entry.intent_id, WorkingStyle.NOW))
        await world.broker.called.wait()
        await world.settle(10 * PATIENCE)
        assert (await world.order(entry)).state is OrderState.SUBMITTING
        world.broker.sending.set()
        sent = await sending
        assert isinstance(sent, Order)
        assert sent.state is OrderState.OPEN


@pytest.mark.parametrize("fault", [Fault.HANGS, Fault.HANGS_AND_LOST])
async def test_an_answer_that_comes_after_the_fill_was_booked_changes_nothing(tmp_path: Path, fault: Fault) -> None:
    async with open_world(tmp_path) as world:
        world.broker.on_place = [fault]
        entry = buy()
        await world.desk.propose(TRADER, entry)
        sending = asyncio.create_task(world.desk.submit(TRADER, entry.intent_id, WorkingStyle.NOW))
        await world.broker.executed.wait()
        await world.settle()
        assert (await world.order(entry)).state is OrderState.FILLED
        world.broker.hanging.set()
        answered = await sending
        assert isinstance(answered, Order)
        assert answered.state is OrderState.FILLED
        assert await world.covered() == await world.held()


async def test_a_refused_order_is_final(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.broker.on_place = [Fault.REFUSED]
        order = await world.send(buy())
        assert (order.state, order.reason) == (OrderState.REFUSED, "the venue does not want it.")
        assert not await _entries_blocked(world)
        await world.settle(PATIENCE)
        assert (await world.order(buy())).state is OrderState.REFUSED
        assert world.broker.arrived == []


async def test_a_read_that_fails_assumes_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.broker.on_place = [Fault.REPLY_LOST]
        await world.send(buy())
        before = await world.desk.account(RUNNER)
        world.broker.reads_fail = True
        await world.clock.sleep(world.limits.max_account_age_seconds + 1)
        for _ in range(3):
            with pytest.raises(BrokerUnavailable):
                await world.desk.sync(RUNNER)
        with pytest.raises(BrokerUnavailable):
            await world.desk.agrees(RUNNER)
        after = await world.desk.account(RUNNER)
        assert (after.portfolio, after.live_orders, after.known_at) == (before.portfolio, before.live_orders, before.known_at)
        assert ReasonCode.ACCOUNT_STALE in codes(await world.desk.propose(TRADER, buy("1", symbol=ETH)))
        world.broker.reads_fail = False
        await world.desk.sync(RUNNER)
        assert (await world.order(buy())).state is OrderState.FILLED


async def test_a_desk_that_never_read_the_venue_lets_nothing_pass(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold()
        blind = world.another_desk()
        for wanted in (buy("1", leg="blind"), sell("1", leg="blind")):
            assert {ReasonCode.ACCOUNT_STALE, ReasonCode.VENUE_HEALTH} <= set(codes(await blind.propose(TRADER, wanted)))


async def test_a_cancel_whose_answer_was_lost_is_cleared_up(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.send(buy("3", limit_price=D(95)))
        await world.settle()
        world.broker.on_cancel = [Fault.NEVER_ARRIVED, Fault.REPLY_LOST]
        (order,) = await world.desk.cancel_entries(RUNNER, but_run="r2")
        assert (order.state, order.reason) == (OrderState.UNKNOWN, "cancel: no answer in time.")
        await world.settle()
        assert (await world.order(buy())).state is OrderState.OPEN
        (order,) = await world.desk.cancel_entries(RUNNER, but_run="r2")
        assert order.state is OrderState.UNKNOWN
        await world.settle()
        assert (await world.order(buy())).state is OrderState.CANCELLED


async def test_an_order_of_somebody_else_stops_the_desk(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.broker.venue_side.place(request("mine", kind=buy().type, limit="95"))
        with pytest.raises(LedgerError, match="'mine'"):
            await world.desk.sync(RUNNER)
        world.clock.advance_to(world.clock.now() + timedelta(seconds=world.limits.max_account_age_seconds + 1))
        assert ReasonCode.ACCOUNT_STALE in codes(await world.desk.propose(TRADER, buy()))


async def test_a_stop_whose_reply_was_lost_is_not_placed_twice(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.broker.on_place = [None, Fault.REPLY_LOST]
        await world.send(buy())
        await world.settle()
        (stop,) = await world.orders(Purpose.STOP)
        assert stop.state is OrderState.UNKNOWN
        await world.settle(PATIENCE)
        (stop,) = await world.orders(Purpose.STOP)
        assert stop.state is OrderState.OPEN
        assert [r.client_order_id for r in world.broker.arrived] == [make_client_order_id(buy().intent_id), stop.client_order_id]


async def test_a_stop_that_never_arrived_is_replaced(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.broker.on_place = [None, Fault.NEVER_ARRIVED]
        await world.send(buy())
        await world.settle()
        await world.settle(PATIENCE)
        assert [order.state for order in await world.orders(Purpose.STOP)] == [OrderState.REFUSED, OrderState.OPEN]
        assert await world.covered() == await world.held() == D("9.98")
