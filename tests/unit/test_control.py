"""An operator's hand on the desk: what it stops, what it leaves, and who may use it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.unit.desk_cases import (
    ACCOUNT,
    OPERATOR,
    RUNNER,
    TRADER,
    D,
    Died,
    Fault,
    LossyBroker,
    World,
    buy,
    codes,
    open_world,
    sell,
)
from tests.unit.paper_exchange import BTC, ETH
from trading_core.auth.permissions import Action
from trading_core.brokers.base import OrderReport
from trading_core.domain.clock import SimulatedClock
from trading_core.domain.errors import InvalidInput, MarketDataUnavailable, NotPermitted
from trading_core.domain.intents import Verdict
from trading_core.domain.orders import Order, OrderState, Purpose
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.cancelling import WAIT_SECONDS
from trading_core.execution.control import LONGEST_REASON, Control
from trading_core.execution.forms import WorkingStyle
from trading_core.execution.risk_record import load_risk, save_risk
from trading_core.execution.together import AT_ONCE
from trading_core.persistence.records import RiskStateChange
from trading_core.persistence.session import Database
from trading_core.risk.checks import ReasonCode
from trading_core.risk.state import TradingState, Withdrawal

NOW = datetime(2025, 3, 3, tzinfo=UTC)


def control_of(world: World) -> Control:
    return Control(ACCOUNT, world.database, world.clock)


async def changes(world: World) -> tuple[RiskStateChange, ...]:
    async with world.database.reading() as uow:
        return await uow.risk.changes(ACCOUNT)


async def test_the_next_order_sees_what_another_process_decided(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world, await Database.open(tmp_path / "ledger.db") as elsewhere:
        intent = buy()
        assert (await world.desk.propose(TRADER, intent)).verdict is Verdict.APPROVED
        await Control(ACCOUNT, elsewhere, world.clock).halt(OPERATOR, "the news is bad")
        answer = await world.desk.submit(TRADER, intent.intent_id, WorkingStyle.NOW)
        assert codes(answer) == (ReasonCode.TRADING_STATE,)
        assert "the news is bad" in answer.failed[0].detail
        assert world.broker.attempted == []


@pytest.mark.parametrize("verb", ["halt", "reduce", "kill"])
async def test_only_who_may_control_risk_and_says_why_is_heard(tmp_path: Path, verb: str) -> None:
    almost = replace(OPERATOR, actions=frozenset(Action) - {Action.CONTROL_RISK})
    elsewhere = replace(OPERATOR, accounts=frozenset({"another"}))
    async with open_world(tmp_path) as world:
        change = getattr(control_of(world), verb)
        for nobody in (TRADER, almost, elsewhere):
            with pytest.raises(NotPermitted):
                await change(nobody, "please")
        for no_reason in ("", " \n ", "x" * (LONGEST_REASON + 1)):
            with pytest.raises(InvalidInput):
                await change(OPERATOR, no_reason)
        assert (await world.desk.account(RUNNER)).risk.trading_state is TradingState.ACTIVE
        assert await changes(world) == ()


async def test_a_halt_outlives_the_process_and_is_audited_with_who_and_why(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await control_of(world).halt(OPERATOR, " one ")
        await control_of(world).halt(OPERATOR, "two")
    async with open_world(tmp_path, hours=2) as world:
        risk = (await world.desk.account(RUNNER)).risk
        assert (risk.trading_state, risk.reason, risk.changed_by) == (TradingState.HALTED, "two", OPERATOR.name)
        assert [(c.from_state, c.to_state, c.actor, c.reason) for c in await changes(world)] == [
            ("active", "halted", "olga", "one"),
            ("halted", "halted", "olga", "two"),
        ]
        # The loss limits go on observing, and do not end it.
        seen = await world.desk.observe(RUNNER, {BTC: D(100)}, await world.desk.account(RUNNER))
        assert seen.trading_state is TradingState.HALTED


async def test_reducing_lets_exits_pass_and_nothing_else(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold("10")
        await control_of(world).reduce(OPERATOR, "enough risk")
        assert codes(await world.desk.propose(TRADER, buy("1", symbol=ETH))) == (ReasonCode.TRADING_STATE,)
        await world.send(sell("9.98"))
        await world.settle()
        assert await world.held() == 0


async def test_a_halted_account_sells_nothing_and_is_not_left_bare(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.send(buy("10"))
        await control_of(world).halt(OPERATOR, "stop")
        await world.settle()  # the entry was at the venue before the halt, and fills
        assert await world.covered() == await world.held() == D("9.98")
        assert codes(await world.desk.propose(TRADER, sell("1"))) == (ReasonCode.TRADING_STATE,)
        assert await world.covered() == D("9.98")


async def test_resuming_counts_losses_anew_from_the_worth_of_that_moment(tmp_path: Path) -> None:
    async with open_world(tmp_path, daily_loss=D("0.05")) as world:
        await world.hold("500", stop="50")
        await world.desk.observe(RUNNER, {BTC: D(80)}, await world.desk.account(RUNNER))
        with pytest.raises(MarketDataUnavailable):
            await control_of(world).resume_trading(OPERATOR, "seen", {})
        assert (await world.desk.account(RUNNER)).risk.trading_state is TradingState.REDUCING
        risk = await control_of(world).resume_trading(OPERATOR, "seen", {BTC: D(80)})
        portfolio = (await world.desk.account(RUNNER)).portfolio
        assert risk.peak_equity == risk.day_start_equity == portfolio.equity({BTC: D(80)})
        assert (await world.desk.propose(TRADER, buy("1", symbol=ETH))).verdict is Verdict.APPROVED
        assert [(c.to_state, c.actor) for c in await changes(world)] == [("reducing", "core"), ("active", "olga")]


async def working(world: World) -> Order:
    """A holding under its stop, and an entry that rests below the market."""
    await world.hold()
    resting = buy("3", leg="rests", limit_price=D(95))
    await world.send(resting)
    await world.settle()
    return await world.order(resting)


async def test_the_kill_switch_takes_back_what_works_and_leaves_the_stops(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        resting = await working(world)
        await control_of(world).kill(OPERATOR, "now")
        (withdrawn,) = (await world.desk.sync(RUNNER)).withdrawn
        assert (withdrawn.client_order_id, withdrawn.state) == (resting.client_order_id, OrderState.CANCELLED)
        assert await world.covered() == await world.held() == D("9.98")
        assert (await world.desk.sync(RUNNER)).withdrawn == ()


class SlowToCancel(LossyBroker):
    """A venue that answers cancels when `full` of them are there together, or at once from then on. One may break."""

    full, at_once, most, breaks = AT_ONCE, 0, 0, ""

    async def cancel(self, client_order_id: str, symbol: str) -> OrderReport:
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        if self.at_once == self.full:
            self.hanging.set()
        await asyncio.wait_for(self.hanging.wait(), 30)
        await asyncio.sleep(0)  # the next one may come meanwhile, were it let in
        self.at_once -= 1
        if client_order_id == self.breaks:
            raise Died
        return await super().cancel(client_order_id, symbol)


async def killed(world: World, count: int) -> SlowToCancel:
    """Orders that rest at the venue, and the kill switch pressed."""
    for number in range(count):
        await world.send(buy("1", leg=str(number), limit_price=D(95)))
    await control_of(world).kill(OPERATOR, "now")
    return SlowToCancel(world.broker.venue_side)


async def test_what_is_killed_is_taken_back_side_by_side_and_not_all_at_once(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        venue, before = await killed(world, count := 2 * AT_ONCE + 3), world.clock.now()
        withdrawn = (await world.another_desk(broker=venue).sync(RUNNER)).withdrawn
        assert [order.state for order in withdrawn] == count * [OrderState.CANCELLED]
        assert venue.most == AT_ONCE
        assert world.clock.now() == before + timedelta(seconds=WAIT_SECONDS), "all are waited for together"


async def test_a_cancel_that_breaks_stops_none_of_the_others(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        venue = await killed(world, AT_ONCE + 1)
        venue.breaks = (await world.orders())[0].client_order_id
        desk = world.another_desk(broker=venue)
        with pytest.raises(Died):
            await desk.sync(RUNNER)
        await world.clock.sleep(1)  # cancels arrive
        assert [report.client_order_id for report in await world.broker.open_orders()] == [venue.breaks]
        venue.breaks = ""
        await desk.sync(RUNNER)
        assert await world.orders(live=True) == []


async def test_a_sale_taken_back_leaves_its_base_under_a_stop(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold()
        await world.send(sell("9.98", type=buy().type, limit_price=D(104)))
        await world.settle()
        assert await world.covered() == 0
        await control_of(world).kill(OPERATOR, "now")
        await world.settle()
        assert await world.covered() == D("9.98")


async def test_stops_go_too_when_asked_and_come_back_when_trading_does(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await working(world)
        await control_of(world).kill(OPERATOR, "all of it", stops_too=True)
        await world.settle()
        await world.settle()
        assert await world.orders(live=True) == []
        await control_of(world).halt(OPERATOR, "still")
        await world.settle()
        assert await world.covered() == 0, "halting again does not undo it"
        await control_of(world).resume_trading(OPERATOR, "over", {BTC: D(100)})
        await world.settle()
        assert await world.covered() == D("9.98")


async def test_a_cancel_that_was_lost_is_tried_again_at_each_sync(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        resting = await working(world)
        world.broker.on_cancel = [Fault.NEVER_ARRIVED]
        await control_of(world).kill(OPERATOR, "now")
        (withdrawn,) = (await world.desk.sync(RUNNER)).withdrawn
        assert withdrawn.state is OrderState.UNKNOWN, "nobody knows, so it is not called cancelled"
        await world.desk.sync(RUNNER)
        assert (await world.desk.account(RUNNER)).risk.withdrawal is Withdrawal.WORKING
        orders = {order.client_order_id: order.state for order in await world.orders(Purpose.ENTRY)}
        assert orders[resting.client_order_id] is OrderState.CANCELLED


async def test_an_order_that_was_on_its_way_is_taken_back_when_it_arrives(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        world.broker.sending = asyncio.Event()
        intent = buy("3", limit_price=D(95))
        await world.desk.propose(TRADER, intent)
        sending = asyncio.create_task(world.desk.submit(TRADER, intent.intent_id, WorkingStyle.NOW))
        await world.broker.called.wait()
        await control_of(world).kill(OPERATOR, "now")
        world.broker.sending.set()
        await sending
        await world.settle()
        assert (await world.order(intent)).state is OrderState.CANCELLED


async def test_a_halt_that_commits_together_with_a_proposal_is_not_forgotten(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        leave = asyncio.Event()

        async def first() -> None:
            async with world.database.transaction():
                await leave.wait()

        holding = asyncio.create_task(first())
        await asyncio.sleep(0)
        proposing = asyncio.create_task(world.desk.propose(TRADER, buy()))
        await asyncio.sleep(0.05)  # the proposal queues first
        halting = asyncio.create_task(control_of(world).halt(OPERATOR, "the news is bad"))
        await asyncio.sleep(0.05)
        leave.set()
        await asyncio.gather(holding, proposing, halting)
        assert (await world.desk.account(RUNNER)).risk.trading_state is TradingState.HALTED
        late = buy(leg="late")
        assert codes(await world.desk.propose(TRADER, late)) == (ReasonCode.TRADING_STATE,)


async def test_a_halt_does_not_undo_what_the_desk_is_just_writing_of_its_losses(location: str) -> None:
    clock = SimulatedClock(NOW)
    async with await Database.open(location) as database, await Database.open(location) as door:
        async with database.transaction() as uow:
            await uow.portfolios.open_account(Portfolio.opened(ACCOUNT, "USDT", D(1000)), "paper", NOW)
        async with database.transaction() as uow:  # as the desk: the account first, then all that it is worth
            await uow.claims.take(ACCOUNT)
            before = await load_risk(uow, ACCOUNT, NOW)
            halting = asyncio.create_task(Control(ACCOUNT, door, clock).halt(OPERATOR, "the news is bad"))
            await asyncio.sleep(0.3)
            await save_risk(uow, ACCOUNT, before, replace(before, peak_equity=D(2000)), NOW)
        await halting
        async with database.reading() as uow:
            risk = await load_risk(uow, ACCOUNT, NOW)
    assert (risk.trading_state, risk.peak_equity) == (TradingState.HALTED, D(2000))
