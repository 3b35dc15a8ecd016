"""What a person does at the desk: asks what the gate would say, takes an order back, and keeps orders that no cycle touches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.desk_cases import ACCOUNT, OPERATOR, RUN, RUNNER, TRADER, D, World, buy, open_world
from tests.unit.paper_exchange import at
from trading_core.audit.entry import AuditAction
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.errors import InvalidInput, LedgerError, NotPermitted
from trading_core.domain.intents import RiskDecision, TradeIntent, Verdict
from trading_core.domain.orders import Order, OrderState, Purpose
from trading_core.execution.forms import WorkingStyle
from trading_core.persistence.records import RunKind, RunRecord, RunState
from trading_core.persistence.repositories.audit import AuditFilter


async def _resting(world: World, name: str) -> TradeIntent:
    """A buy below the market."""
    low = D(97)
    intent = replace(buy("1", limit_price=low, worst_price=low, stop_price=D(90)), intent_id=f"{name:0<64}", run_id=name)
    await world.send(intent)
    await world.settle()
    return intent


async def test_a_new_cycle_takes_back_what_a_cycle_left_and_not_what_a_person_ordered(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.start_run("cycle")
        async with world.database.transaction() as uow:
            await uow.runs.start(RunRecord("order", ACCOUNT, RunKind.ORDER, at(1), at(1)))
        cycle, person = await _resting(world, "cycle"), await _resting(world, "order")
        async with world.database.transaction() as uow:
            await uow.runs.set_state("order", RunState.DONE, at=at(1))
        (taken,) = await world.desk.cancel_entries(RUNNER, but_run=RUN)
        assert (taken.intent_id, taken.state) == (cycle.intent_id, OrderState.CANCELLED)
        assert (await world.order(person)).is_live
        assert await world.desk.cancel_entries(RUNNER, but_run=RUN) == ()


async def test_a_person_takes_an_order_back(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.start_run("one")
        order = await world.order(await _resting(world, "one"))
        viewer = Principal("viewer", frozenset(Action) - {Action.SUBMIT}, frozenset({ACCOUNT}))
        with pytest.raises(NotPermitted):
            await world.desk.cancel(viewer, order.client_order_id)
        assert (await world.desk.cancel(OPERATOR, order.client_order_id)).state is OrderState.CANCELLED
        assert (await world.desk.cancel(OPERATOR, order.client_order_id)).state is OrderState.CANCELLED
        async with world.database.reading() as uow:
            told = await uow.audit.newest(10, AuditFilter(subject_id=order.client_order_id))
        # Who wanted it, once; then what the venue made of it.
        assert [(row.action, row.actor) for row in told] == [
            (AuditAction.ORDER_CLOSED, "venue"),
            (AuditAction.ORDER_CANCEL_ASKED, OPERATOR.name),
            (AuditAction.ORDER_SUBMITTED, TRADER.name),
        ]
        with pytest.raises(LedgerError):
            await world.desk.cancel(OPERATOR, "nothing")


async def test_a_protective_stop_is_not_taken_back_by_hand(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        await world.hold()
        (stop,) = await world.orders(Purpose.STOP, live=True)
        with pytest.raises(InvalidInput, match="protective stop"):
            await world.desk.cancel(OPERATOR, stop.client_order_id)
        assert (await world.orders(Purpose.STOP, live=True)) == [stop]


async def test_a_preview_is_the_gates_word_and_leaves_nothing_behind(tmp_path: Path) -> None:
    async with open_world(tmp_path, approval_above_notional=D(500), max_order_notional=D(5_000)) as world:
        before = (await world.desk.account(RUNNER)), await world.desk.affordable(TRADER, buy("100"))
        wanted = [buy("1"), buy("10"), buy("100")]
        said = [(await world.desk.preview(TRADER, intent)).verdict for intent in wanted]
        assert said == [Verdict.APPROVED, Verdict.NEEDS_APPROVAL, Verdict.DENIED]
        async with world.database.reading() as uow:
            assert [await uow.intents.get(intent.intent_id) for intent in wanted] == [None] * 3
            assert await uow.approvals.pending(ACCOUNT) == ()
        assert (await world.desk.account(RUNNER), await world.desk.affordable(TRADER, buy("100"))) == before
        with pytest.raises(NotPermitted):
            await world.desk.preview(RUNNER, buy())


async def test_the_person_at_the_machine_sends_what_that_person_proposed_and_nobody_else_does(tmp_path: Path) -> None:
    """No table knows such a person. What a stranger proposed is judged without any right."""
    async with open_world(tmp_path) as world:
        desk = world.another_desk(principals={})
        await desk.sync(RUNNER)
        mine = replace(buy("1"), proposer=OPERATOR.name)
        assert (await desk.propose(OPERATOR, mine)).verdict is Verdict.APPROVED
        other = replace(OPERATOR, name="otto")
        refused = await desk.submit(other, mine.intent_id, WorkingStyle.NOW)
        assert isinstance(refused, RiskDecision)
        assert refused.verdict is Verdict.DENIED
        own = replace(mine, intent_id="f" * 64)
        assert (await desk.propose(OPERATOR, own)).verdict is Verdict.APPROVED
        assert isinstance(await desk.submit(OPERATOR, own.intent_id, WorkingStyle.NOW), Order)
