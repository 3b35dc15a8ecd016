"""What has a time to live ends with it: proposals are refused, orders are taken back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.desk_cases import ACCOUNT, OPERATOR, RUN, RUNNER, TRADER, D, Fault, buy, codes, open_world
from tests.unit.feeds import bar, flat
from tests.unit.paper_exchange import BTC, at
from trading_core.domain.errors import InvalidInput
from trading_core.domain.orders import OrderState, Purpose
from trading_core.execution.forms import WorkingStyle
from trading_core.risk.checks import ReasonCode

UNTIL = at(1) + timedelta(minutes=10)
RESTING = buy("10", limit_price=D(95), expires_at=UNTIL)


async def test_an_order_that_still_works_is_taken_back_at_the_sync_after_its_time(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.send(RESTING)
        world.clock.advance_to(UNTIL - timedelta(microseconds=1))
        assert (await world.desk.sync(RUNNER)).withdrawn == ()
        assert (await world.order(RESTING)).expires_at == UNTIL
        world.clock.advance_to(UNTIL)
        (taken,) = (await world.desk.sync(RUNNER)).withdrawn
        assert (taken.intent_id, taken.state) == (RESTING.intent_id, OrderState.CANCELLED)
        assert (await world.desk.sync(RUNNER)).withdrawn == ()
        assert await world.broker.open_orders() == []


async def test_it_outlives_the_process(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.send(RESTING)
    async with open_world(tmp_path, hours=2) as world:
        assert (await world.order(RESTING)).state is OrderState.CANCELLED
        async with world.database.reading() as uow:
            assert (await uow.intents.of_run(RUN))[0].expires_at == UNTIL


async def test_a_cancel_that_was_lost_is_tried_again(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.send(RESTING)
        world.clock.advance_to(UNTIL)
        world.broker.on_cancel = [Fault.NEVER_ARRIVED]
        (taken,) = (await world.desk.sync(RUNNER)).withdrawn
        assert taken.state is OrderState.UNKNOWN
        await world.desk.sync(RUNNER)
        assert (await world.order(RESTING)).state is OrderState.CANCELLED


async def test_what_has_traded_in_time_stays_and_is_protected(tmp_path: Path) -> None:
    thin = [flat(hour, volume="40") for hour in range(4)]
    async with open_world(tmp_path, {BTC: thin}) as world:
        entry = buy("10", expires_at=UNTIL)
        await world.send(entry)
        world.clock.advance_to(UNTIL)
        (taken,) = (await world.desk.sync(RUNNER)).withdrawn
        assert (taken.state, taken.filled) == (OrderState.CANCELLED, 4)
        assert await world.covered() == await world.held() == D("3.992")
        (stop,) = await world.orders(Purpose.STOP)
        assert stop.expires_at is None
        world.go(3.5)
        assert (await world.desk.sync(RUNNER)).withdrawn == ()


async def test_a_fill_can_win_the_race(tmp_path: Path) -> None:
    bars = [flat(0), flat(1), bar(2, "100", "100", "90", "100"), flat(3)]
    async with open_world(tmp_path, {BTC: bars}) as world:
        entry = buy("3", limit_price=D(95), stop_price=D(85), expires_at=at(2.5))
        await world.send(entry)
        world.clock.advance_to(at(3) - timedelta(milliseconds=100))
        (taken,) = (await world.desk.sync(RUNNER)).withdrawn
        assert (taken.state, taken.filled) == (OrderState.FILLED, 3)
        await world.desk.sync(RUNNER)
        assert await world.covered() == await world.held()


async def test_an_order_whose_fate_is_unknown_does_not_end_by_the_clock(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.broker.on_place = [Fault.LATE]
        await world.desk.propose(TRADER, RESTING)
        world.clock.advance_to(UNTIL - timedelta(seconds=1))
        await world.desk.sync(RUNNER)
        await world.desk.submit(TRADER, RESTING.intent_id, WorkingStyle.NOW)
        world.clock.advance_to(UNTIL)
        (taken,) = (await world.desk.sync(RUNNER)).withdrawn
        assert taken.state is OrderState.UNKNOWN
        await world.broker.deliver()
        await world.settle()
        await world.settle()
        assert (await world.order(RESTING)).state is OrderState.CANCELLED


@pytest.mark.parametrize("fitting", [False, True])
async def test_a_proposal_that_has_expired_is_refused(tmp_path: Path, fitting: bool) -> None:
    async with open_world(tmp_path) as world:
        propose = world.desk.propose_fitting if fitting else world.desk.propose
        for until, why in ((at(1), "expired"), (at(0), "expired"), (at(9).replace(tzinfo=None), "no time zone")):
            with pytest.raises(InvalidInput, match=why):
                await propose(TRADER, buy(expires_at=until))
        async with world.database.reading() as uow:
            assert await uow.intents.waiting(ACCOUNT) == ()


async def test_an_approved_intent_that_has_expired_is_not_sent(tmp_path: Path) -> None:
    async with open_world(tmp_path, approval_above_notional=D(500)) as world:
        await world.desk.propose(TRADER, RESTING)
        await world.desk.decide_approval(OPERATOR, RESTING.intent_id, approve=True, reason="in time")
        world.clock.advance_to(UNTIL)
        await world.desk.sync(RUNNER)
        assert ReasonCode.EXPIRY in codes(await world.desk.submit(TRADER, RESTING.intent_id, WorkingStyle.NOW))
        assert world.broker.attempted == []
        # What it had reserved is free.
        assert await world.desk.affordable(TRADER, buy("900", leg="another")) == 900
