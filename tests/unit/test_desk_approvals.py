"""An operator's yes: to exactly one order, for a while, near one price."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.desk_cases import OPERATOR, RUNNER, TRADER, D, World, buy, codes, open_world, sell
from tests.unit.feeds import bar, flat
from tests.unit.paper_exchange import BTC
from trading_core.auth.permissions import operator
from trading_core.domain.errors import ApprovalError, NotPermitted
from trading_core.domain.intents import ApprovalState, RiskDecision, TradeIntent, Verdict
from trading_core.domain.orders import Order, OrderState, Purpose
from trading_core.domain.portfolio import Portfolio
from trading_core.execution.forms import WorkingStyle
from trading_core.risk.checks import ReasonCode
from trading_core.risk.limits import Limits

APPROVAL_LASTS = Limits().approval_lasts_seconds
THRESHOLD = D(500)


async def _asked(world: World, intent: TradeIntent | None = None) -> TradeIntent:
    intent = intent or buy()
    assert (await world.desk.propose(TRADER, intent)).verdict is Verdict.NEEDS_APPROVAL
    return intent


async def _submit(world: World, intent: TradeIntent) -> Order | RiskDecision:
    return await world.desk.submit(TRADER, intent.intent_id, WorkingStyle.NOW)


async def _answer(world: World, intent: TradeIntent, *, approve: bool = True) -> None:
    await world.desk.decide_approval(OPERATOR, intent.intent_id, approve=approve, reason="looked at it")


async def test_with_the_operators_yes_it_is_sent(tmp_path: Path) -> None:
    async with open_world(tmp_path, approval_above_notional=THRESHOLD) as world:
        entry = await _asked(world)
        decided = await world.desk.decide_approval(OPERATOR, entry.intent_id, approve=True, reason="good")
        assert (decided.state, decided.decided_by, decided.content_hash) == (
            ApprovalState.APPROVED,
            OPERATOR.name,
            entry.content_hash,
        )
        sent = await _submit(world, entry)
        assert isinstance(sent, Order)
        await world.settle()
        assert (await world.order(entry)).state is OrderState.FILLED


async def test_before_the_answer_nothing_is_sent_and_nothing_is_lost(tmp_path: Path) -> None:
    async with open_world(tmp_path, approval_above_notional=THRESHOLD) as world:
        entry = await _asked(world, buy("600"))
        early = await _submit(world, entry)
        assert isinstance(early, RiskDecision)
        assert early.verdict is Verdict.NEEDS_APPROVAL
        # What waits for an answer is reserved.
        assert ReasonCode.INSUFFICIENT_CASH in codes(await world.desk.propose(TRADER, buy("600", leg="b")))
        await _answer(world, entry)
        assert isinstance(await _submit(world, entry), Order)


async def test_a_no_is_final_and_frees_what_was_reserved(tmp_path: Path) -> None:
    async with open_world(tmp_path, approval_above_notional=THRESHOLD) as world:
        entry = await _asked(world, buy("600"))
        await _answer(world, entry, approve=False)
        assert codes(await _submit(world, entry)) == (ReasonCode.APPROVAL,)
        assert await world.decisions(entry) == [Verdict.NEEDS_APPROVAL, Verdict.DENIED]
        await _asked(world, buy("600", leg="b"))
        assert world.broker.arrived == []


async def test_a_yes_too_late_is_no_yes(tmp_path: Path) -> None:
    async with open_world(tmp_path, approval_above_notional=THRESHOLD, max_price_age_seconds=86_400) as world:
        entry = await _asked(world)
        await world.clock.sleep(APPROVAL_LASTS + 1)
        await world.desk.sync(RUNNER)
        with pytest.raises(ApprovalError, match="expired"):
            await _answer(world, entry)
        assert codes(await _submit(world, entry)) == (ReasonCode.APPROVAL,)


async def test_unanswered_it_ends_with_its_time(tmp_path: Path) -> None:
    async with open_world(tmp_path, approval_above_notional=THRESHOLD, max_price_age_seconds=86_400) as world:
        entry = await _asked(world)
        await world.clock.sleep(APPROVAL_LASTS + 1)
        await world.desk.sync(RUNNER)
        answer = await _submit(world, entry)
        assert codes(answer) == (ReasonCode.APPROVAL,)
        assert isinstance(answer, RiskDecision)
        assert answer.verdict is Verdict.DENIED


async def test_a_yes_used_too_late_is_no_yes(tmp_path: Path) -> None:
    async with open_world(tmp_path, approval_above_notional=THRESHOLD, max_price_age_seconds=86_400) as world:
        entry, at_the_last_moment = await _asked(world), await _asked(world, buy("9", leg="b"))
        for intent in (entry, at_the_last_moment):
            await _answer(world, intent)
        await world.clock.sleep(APPROVAL_LASTS)
        await world.desk.sync(RUNNER)
        assert isinstance(await _submit(world, at_the_last_moment), Order)
        world.clock.advance_to(world.clock.now() + timedelta(microseconds=1))
        assert codes(await _submit(world, entry)) == (ReasonCode.APPROVAL,)


@pytest.mark.parametrize(("price", "sent"), [("101", True), ("99", True), ("101.01", False), ("98.99", False)])
async def test_a_yes_dies_when_the_price_has_moved(tmp_path: Path, price: str, sent: bool) -> None:
    bars = [flat(0), flat(1), bar(2, price, price, price, price)]
    async with open_world(tmp_path, {BTC: bars}, approval_above_notional=THRESHOLD) as world:
        entry = await _asked(world)
        await _answer(world, entry)
        world.go(2.5)
        await world.desk.sync(RUNNER)
        answer = await _submit(world, entry)
        assert isinstance(answer, Order) if sent else codes(answer) == (ReasonCode.APPROVAL,)


async def test_a_yes_is_given_once(tmp_path: Path) -> None:
    async with open_world(tmp_path, approval_above_notional=THRESHOLD) as world:
        entry = await _asked(world)
        await _answer(world, entry)
        for approve in (True, False):
            with pytest.raises(ApprovalError, match="already approved"):
                await _answer(world, entry, approve=approve)


async def test_a_yes_to_another_content_counts_for_nothing(tmp_path: Path) -> None:
    async with open_world(tmp_path, approval_above_notional=THRESHOLD) as world:
        entry = await _asked(world)
        await _answer(world, entry)
        # Somebody with the database changed the order after the operator had read it.
        async with world.database.transaction() as uow:
            await uow.intents._connection.exec_driver_sql("UPDATE intents SET quantity = '600', stop_price = '99'")
        later = world.another_desk()
        await later.sync(RUNNER)
        answer = await later.submit(TRADER, entry.intent_id, WorkingStyle.NOW)
        assert codes(answer) == (ReasonCode.APPROVAL,)
        assert world.broker.arrived == []


async def test_where_nothing_was_asked_there_is_no_yes(tmp_path: Path) -> None:
    async with open_world(tmp_path, approval_above_notional=THRESHOLD) as world:
        small = buy("1")
        assert (await world.desk.propose(TRADER, small)).verdict is Verdict.APPROVED
        for intent_id in (small.intent_id, "nothing"):
            with pytest.raises(ApprovalError, match="no approval is asked"):
                await world.desk.decide_approval(OPERATOR, intent_id, approve=True, reason="")


async def test_an_order_that_outgrew_the_threshold_by_submission_is_denied(tmp_path: Path) -> None:
    bars = [flat(0), flat(1), bar(2, "104", "104", "104", "104")]
    async with open_world(tmp_path, {BTC: bars}, approval_above_notional=D(1060)) as world:
        entry = buy(type=buy().type.MARKET, limit_price=None)
        assert (await world.desk.propose(TRADER, entry)).verdict is Verdict.APPROVED
        world.go(2.5)
        await world.desk.sync(RUNNER)
        assert codes(await _submit(world, entry)) == (ReasonCode.APPROVAL,)
        assert (await world.decisions(entry))[-1] is Verdict.DENIED


@pytest.mark.parametrize("answered", ["no", "not yet", "too late"])
async def test_an_order_that_was_asked_about_waits_for_its_yes_also_when_it_is_worth_less_by_then(
    tmp_path: Path, answered: str
) -> None:
    """A market order is valued at the market: a falling price must not do what the operator refused, or has not said."""
    bars = [flat(0), flat(1), bar(2, "99.5", "99.5", "99.5", "99.5")]
    changes = {"approval_above_notional": D(1049), "max_price_age_seconds": 86_400}
    async with open_world(tmp_path, {BTC: bars}, **changes) as world:
        entry = await _asked(world, buy(type=buy().type.MARKET, limit_price=None))
        if answered == "no":
            await _answer(world, entry, approve=False)
        world.go(2.5)
        if answered == "too late":
            await world.clock.sleep(APPROVAL_LASTS)
        await world.desk.sync(RUNNER)
        answer = await _submit(world, entry)
        assert codes(answer) == (ReasonCode.APPROVAL,)
        assert isinstance(answer, RiskDecision)
        assert answer.verdict is (Verdict.NEEDS_APPROVAL if answered == "not yet" else Verdict.DENIED)
        if answered == "not yet":
            await _answer(world, entry)
            assert isinstance(await _submit(world, entry), Order)


async def test_a_no_stands_also_where_the_limits_ask_for_no_approval_any_more(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold()
        tight = world.another_desk(limits=world.limits.model_copy(update={"approval_above_notional": THRESHOLD}))
        await tight.sync(RUNNER)
        leave = sell("9.98")
        assert (await tight.propose(TRADER, leave)).verdict is Verdict.NEEDS_APPROVAL
        await tight.decide_approval(OPERATOR, leave.intent_id, approve=False, reason="not now")
        assert codes(await world.desk.submit(TRADER, leave.intent_id, WorkingStyle.NOW)) == (ReasonCode.APPROVAL,)
        assert len(await world.orders(Purpose.STOP, live=True)) == 1


async def test_only_this_accounts_operators_answer(tmp_path: Path) -> None:
    async with open_world(tmp_path, approval_above_notional=THRESHOLD) as world:
        entry = await _asked(world)
        with pytest.raises(NotPermitted):
            await world.desk.decide_approval(TRADER, entry.intent_id, approve=True, reason="")
        # Another account's desk works on the same database.
        async with world.database.transaction() as uow:
            await uow.portfolios.open_account(Portfolio.opened("paper-2", "USDT", D(1000)), "paper", world.clock.now())
        with pytest.raises(ApprovalError, match="no approval is asked"):
            await world.another_desk(account_id="paper-2").decide_approval(
                operator("mallory", "paper-2"), entry.intent_id, approve=True, reason=""
            )
        await _answer(world, entry)


async def test_a_sale_that_waits_for_its_yes_leaves_the_stop_alone(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold()
        careful = world.another_desk(limits=world.limits.model_copy(update={"approval_above_notional": THRESHOLD}))
        await careful.sync(RUNNER)
        leave = sell("9.98")
        await careful.propose(TRADER, leave)
        before = await world.orders()
        answer = await careful.submit(TRADER, leave.intent_id, WorkingStyle.NOW)
        assert isinstance(answer, RiskDecision)
        assert await world.orders() == before
        await careful.decide_approval(OPERATOR, leave.intent_id, approve=True, reason="")
        assert isinstance(await careful.submit(TRADER, leave.intent_id, WorkingStyle.NOW), Order)


async def test_the_reason_is_not_part_of_what_is_approved(tmp_path: Path) -> None:
    async with open_world(tmp_path, approval_above_notional=THRESHOLD) as world:
        entry = await _asked(world)
        await _answer(world, entry)
        assert (await world.desk.propose(TRADER, replace(entry, reason="better told"))).verdict is Verdict.NEEDS_APPROVAL
        assert isinstance(await _submit(world, entry), Order)
