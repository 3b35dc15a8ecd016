"""Limits of an account and of a strategy bind every order of theirs, when it is proposed and when it is sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.desk_cases import ACCOUNT, LIMITS, OPERATOR, RUNNER, TRADER, D, World, buy, codes, open_world
from tests.unit.feeds import bar, flat
from tests.unit.paper_exchange import BTC, at
from trading_core.auth.permissions import Principal, operator
from trading_core.domain.errors import ApprovalError, NotPermitted
from trading_core.domain.intents import ApprovalState, RiskDecision, TradeIntent, Verdict
from trading_core.domain.orders import Order
from trading_core.execution.forms import WorkingStyle
from trading_core.risk.checks import ReasonCode
from trading_core.risk.limits_book import LimitsBook, Tables

CAREFUL = "careful"
OTTO = operator("otto", ACCOUNT)
THRESHOLD = D(500)


async def _bind(world: World, account: Tables | None = None, strategy: Tables | None = None, **desk: object) -> None:
    """From now on the world's desk is held to these."""
    limits = world.limits.model_copy(update=desk)
    book = LimitsBook(desk=limits, account=account or {}, strategy=strategy or {})
    world.desk = world.another_desk(limits=book, principals={who.name: who for who in (TRADER, OPERATOR, OTTO)})
    await world.desk.sync(RUNNER)


async def _submit(world: World, intent: TradeIntent, who: Principal = TRADER) -> Order | RiskDecision:
    return await world.desk.submit(who, intent.intent_id, WorkingStyle.NOW)


@pytest.mark.parametrize(("strategy", "binds"), [(CAREFUL, True), ("", False), ("another", False)])
async def test_a_strategys_orders_are_held_tighter_and_no_others(tmp_path: Path, strategy: str, binds: bool) -> None:
    async with open_world(tmp_path) as world:
        await _bind(world, strategy={CAREFUL: {"max_order_notional": D(500)}})
        decision = await world.desk.propose(TRADER, buy("10", strategy=strategy))
        assert decision.reason_codes == ((ReasonCode.ORDER_CAP,) if binds else ())
        room = await world.desk.affordable(TRADER, buy("10", leg="b", strategy=strategy))
        assert room == (D("4.950") if binds else 10)  # 500 / 101
        fitting, said = await world.desk.propose_fitting(TRADER, buy("10", leg="c", strategy=strategy))
        assert (fitting.quantity, said.verdict) == (room, Verdict.APPROVED)


@pytest.mark.parametrize(("account", "binds"), [(ACCOUNT, True), ("another", False)])
async def test_an_accounts_orders_are_held_tighter(tmp_path: Path, account: str, binds: bool) -> None:
    async with open_world(tmp_path) as world:
        await _bind(world, account={account: {"max_position": D("0.005")}})
        assert world.desk.limits.max_position == (D("0.005") if binds else 1)
        codes_found = (await world.desk.propose(TRADER, buy("10"))).reason_codes
        assert codes_found == ((ReasonCode.POSITION_EXPOSURE,) if binds else ())


async def test_the_tightest_of_desk_account_and_strategy_binds(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        tables = {name: {"max_order_notional": most} for name, most in (("loose", D(900)), ("tight", D(300)))}
        await _bind(world, {ACCOUNT: {"max_order_notional": D(600)}}, tables)
        rooms = [await world.desk.affordable(TRADER, buy("10", leg=name, strategy=name)) for name in ("", "loose", "tight")]
        assert rooms == [D("5.940"), D("5.940"), D("2.970")]


async def test_limits_that_were_tightened_since_bind_when_it_is_sent(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        mine, others = buy("10", strategy=CAREFUL), buy("10", leg="b")
        for intent in (mine, others):
            assert (await world.desk.propose(TRADER, intent)).verdict is Verdict.APPROVED
        await _bind(world, strategy={CAREFUL: {"max_order_notional": D(500)}})
        answer = await _submit(world, mine)
        assert codes(answer) == (ReasonCode.ORDER_CAP,)
        assert isinstance(await _submit(world, others), Order)


async def test_nobody_can_talk_an_order_out_of_its_strategy(tmp_path: Path) -> None:
    async with open_world(tmp_path, approval_above_notional=THRESHOLD) as world:
        entry = buy("10", strategy=CAREFUL)
        await world.desk.propose(TRADER, entry)
        await world.desk.decide_approval(OPERATOR, entry.intent_id, approve=True, reason="good")
        async with world.database.transaction() as uow:  # somebody with the database takes its strategy away
            await uow.intents._connection.exec_driver_sql("UPDATE intents SET strategy = ''")
        await _bind(world, approval_above_notional=THRESHOLD)
        assert codes(await _submit(world, entry)) == (ReasonCode.APPROVAL,)


async def test_with_four_eyes_the_proposer_may_not_approve(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await _bind(world, approval_above_notional=THRESHOLD, four_eyes=True)
        entry = buy(proposer=OPERATOR.name)
        assert (await world.desk.propose(OPERATOR, entry)).verdict is Verdict.NEEDS_APPROVAL
        with pytest.raises(NotPermitted, match="may not approve it too"):
            await world.desk.decide_approval(OPERATOR, entry.intent_id, approve=True, reason="mine")
        waits = await _submit(world, entry, OPERATOR)
        assert isinstance(waits, RiskDecision)
        assert waits.verdict is Verdict.NEEDS_APPROVAL
        decided = await world.desk.decide_approval(OTTO, entry.intent_id, approve=True, reason="looked at it")
        assert (decided.state, decided.decided_by) == (ApprovalState.APPROVED, OTTO.name)
        assert isinstance(await _submit(world, entry, OPERATOR), Order)


async def test_the_proposer_may_take_back_what_they_proposed(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await _bind(world, approval_above_notional=THRESHOLD, four_eyes=True)
        entry = buy(proposer=OPERATOR.name)
        await world.desk.propose(OPERATOR, entry)
        decided = await world.desk.decide_approval(OPERATOR, entry.intent_id, approve=False, reason="on second thought")
        assert decided.state is ApprovalState.REJECTED


async def test_without_four_eyes_two_suffice(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await _bind(world, approval_above_notional=THRESHOLD)
        entry = buy(proposer=OPERATOR.name)
        await world.desk.propose(OPERATOR, entry)
        await world.desk.decide_approval(OPERATOR, entry.intent_id, approve=True, reason="mine")
        assert isinstance(await _submit(world, entry, OPERATOR), Order)


@pytest.mark.parametrize(("strategy", "refused"), [(CAREFUL, True), ("", False)])
async def test_four_eyes_for_one_strategy(tmp_path: Path, strategy: str, refused: bool) -> None:
    async with open_world(tmp_path) as world:
        await _bind(world, strategy={CAREFUL: {"four_eyes": True}}, approval_above_notional=THRESHOLD)
        entry = buy(proposer=OPERATOR.name, strategy=strategy)
        await world.desk.propose(OPERATOR, entry)
        if refused:
            with pytest.raises(NotPermitted):
                await world.desk.decide_approval(OPERATOR, entry.intent_id, approve=True, reason="mine")
        else:
            await world.desk.decide_approval(OPERATOR, entry.intent_id, approve=True, reason="mine")


async def test_an_own_yes_counts_for_nothing_once_four_eyes_are_asked_for(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await _bind(world, approval_above_notional=THRESHOLD)
        mine, seen = (replace(buy(leg=leg), proposer=OPERATOR.name) for leg in ("mine", "seen"))
        for intent, who in ((mine, OPERATOR), (seen, OTTO)):
            await world.desk.propose(OPERATOR, intent)
            await world.desk.decide_approval(who, intent.intent_id, approve=True, reason="good")
        await _bind(world, approval_above_notional=THRESHOLD, four_eyes=True)
        assert codes(await _submit(world, mine, OPERATOR)) == (ReasonCode.APPROVAL,)
        assert isinstance(await _submit(world, seen, OPERATOR), Order)


@pytest.mark.parametrize(("strategy", "lasts"), [("", 600), (CAREFUL, 60)])
async def test_how_long_an_approval_lasts_is_a_limit(tmp_path: Path, strategy: str, lasts: int) -> None:
    async with open_world(tmp_path) as world:
        tight: Tables = {CAREFUL: {"approval_lasts_seconds": 60}}
        await _bind(world, strategy=tight, approval_above_notional=THRESHOLD, approval_lasts_seconds=600)
        late, in_time = buy(strategy=strategy), buy("9", leg="b", strategy=strategy)
        for intent in (late, in_time):
            await world.desk.propose(TRADER, intent)
        async with world.database.reading() as uow:
            asked = await uow.approvals.pending(ACCOUNT)
        assert {approval.expires_at for approval in asked} == {at(1) + timedelta(seconds=lasts)}
        world.clock.advance_to(at(1) + timedelta(seconds=lasts))
        await world.desk.decide_approval(OPERATOR, in_time.intent_id, approve=True, reason="in time")
        world.clock.advance_to(at(1) + timedelta(seconds=lasts, microseconds=1))
        with pytest.raises(ApprovalError, match="expired"):
            await world.desk.decide_approval(OPERATOR, late.intent_id, approve=True, reason="too late")


@pytest.mark.parametrize(("strategy", "price", "sent"), [("", "103", True), ("", "103.01", False), (CAREFUL, "102.01", False)])
async def test_how_far_the_price_may_drift_is_a_limit(tmp_path: Path, strategy: str, price: str, sent: bool) -> None:
    bars = [flat(0), flat(1), bar(2, price, price, price, price)]
    async with open_world(tmp_path, {BTC: bars}, limits=LIMITS) as world:
        tight: Tables = {CAREFUL: {"approval_drift": D("0.02")}}
        await _bind(world, strategy=tight, approval_above_notional=THRESHOLD, approval_drift=D("0.03"))
        entry = buy(strategy=strategy, limit_price=D(102))
        await world.desk.propose(TRADER, entry)
        await world.desk.decide_approval(OPERATOR, entry.intent_id, approve=True, reason="good")
        world.go(2.1)
        await world.desk.sync(RUNNER)
        answer = await _submit(world, entry)
        assert isinstance(answer, Order) if sent else codes(answer) == (ReasonCode.APPROVAL,)
