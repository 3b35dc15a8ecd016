"""An answer given over the ledger alone: the desk sees it, wherever it is, and nothing is taken that the desk would refuse."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.desk_cases import ACCOUNT, OPERATOR, RUN, TRADER, D, World, buy, open_world
from trading_core.audit.entry import AuditAction
from trading_core.auth.permissions import Action, Principal, operator
from trading_core.domain.errors import ApprovalError, InvalidInput, NotPermitted
from trading_core.domain.intents import ApprovalState, RiskDecision, TradeIntent, Verdict
from trading_core.domain.orders import Order
from trading_core.execution.approving import Approvals, expire, withdraw
from trading_core.execution.forms import WorkingStyle
from trading_core.persistence.session import Database
from trading_core.risk.limits_book import LimitsBook

ASKS = {"approval_above_notional": D(500)}


async def _asked(world: World) -> TradeIntent:
    intent = buy()
    assert (await world.desk.propose(TRADER, intent)).verdict is Verdict.NEEDS_APPROVAL
    return intent


async def test_a_process_without_the_desk_can_say_yes(tmp_path: Path) -> None:
    async with open_world(tmp_path, **ASKS) as world, await Database.open(tmp_path / "ledger.db") as elsewhere:
        intent = await _asked(world)
        given = await Approvals(elsewhere, world.clock).decide(OPERATOR, intent.intent_id, approve=True, reason="good")
        assert (given.state, given.decided_by, given.reason) == (ApprovalState.APPROVED, OPERATOR.name, "good")
        async with world.database.reading() as uow:
            told = (await uow.audit.newest(1))[0]
        assert (told.action, told.actor, told.subject_id) == (AuditAction.APPROVAL_GIVEN, OPERATOR.name, intent.intent_id)
        assert told.correlation_id == RUN
        assert isinstance(await world.desk.submit(TRADER, intent.intent_id, WorkingStyle.NOW), Order)


async def test_a_no_frees_what_was_reserved_where_the_desk_is(tmp_path: Path) -> None:
    async with open_world(tmp_path, **ASKS) as world, await Database.open(tmp_path / "ledger.db") as elsewhere:
        intent = await _asked(world)
        room = await world.desk.affordable(TRADER, replace(buy("100000"), intent_id="another"))
        await Approvals(elsewhere, world.clock).decide(OPERATOR, intent.intent_id, approve=False, reason="no")
        assert await world.desk.affordable(TRADER, replace(buy("100000"), intent_id="another")) > room
        assert isinstance(await world.desk.submit(TRADER, intent.intent_id, WorkingStyle.NOW), RiskDecision)


async def test_it_may_be_answered_once_in_time_and_by_those_who_may(tmp_path: Path) -> None:
    async with open_world(tmp_path, **ASKS) as world:
        approvals = Approvals(world.database, world.clock)
        intent = await _asked(world)
        nobody = Principal("x", frozenset(Action) - {Action.APPROVE}, frozenset({ACCOUNT}))
        with pytest.raises(NotPermitted):
            await approvals.decide(nobody, intent.intent_id, approve=True, reason="")
        # Who may approve elsewhere learns no more of what is asked here than of what is asked nowhere.
        for who, asked in ((operator("olga", "elsewhere"), intent.intent_id), (OPERATOR, "nothing")):
            with pytest.raises(ApprovalError, match="no approval is asked"):
                await approvals.decide(who, asked, approve=True, reason="")
        with pytest.raises(InvalidInput):
            await approvals.decide(OPERATOR, intent.intent_id, approve=True, reason="x" * 501)
        await approvals.decide(OPERATOR, intent.intent_id, approve=True, reason="")
        with pytest.raises(ApprovalError, match="already approved"):
            await approvals.decide(OPERATOR, intent.intent_id, approve=False, reason="")


async def test_too_late_is_kept_as_that(tmp_path: Path) -> None:
    async with open_world(tmp_path, **ASKS) as world:
        intent = await _asked(world)
        await world.clock.sleep(world.limits.approval_lasts_seconds + 1)
        with pytest.raises(ApprovalError, match="expired"):
            await Approvals(world.database, world.clock).decide(OPERATOR, intent.intent_id, approve=True, reason="")
        async with world.database.reading() as uow:
            kept = await uow.approvals.get(intent.intent_id)
        assert kept is not None
        assert kept.state is ApprovalState.EXPIRED


async def test_four_eyes_are_asked_for_here_too(tmp_path: Path) -> None:
    async with open_world(tmp_path, four_eyes=True, **ASKS) as world:
        intent = replace(buy(), proposer=OPERATOR.name)
        assert (await world.desk.propose(OPERATOR, intent)).verdict is Verdict.NEEDS_APPROVAL
        approvals = Approvals(world.database, world.clock, LimitsBook(desk=world.limits))
        with pytest.raises(NotPermitted, match="may not approve it too"):
            await approvals.decide(OPERATOR, intent.intent_id, approve=True, reason="")
        given = await approvals.decide(operator("second", ACCOUNT), intent.intent_id, approve=True, reason="")
        assert given.state is ApprovalState.APPROVED


async def test_what_nobody_answered_is_closed_when_its_time_is_over_or_its_run_is_cancelled(tmp_path: Path) -> None:
    async with open_world(tmp_path, **ASKS) as world:
        intent, now = await _asked(world), world.clock.now()
        async with world.database.transaction() as uow:
            assert await expire(uow, RUN, now) == (), "there is time left"
        late = now + timedelta(seconds=world.limits.approval_lasts_seconds + 1)
        async with world.database.transaction() as uow:
            (closed,) = await expire(uow, RUN, late)
            assert await expire(uow, RUN, late) == ()
            assert await withdraw(uow, RUN, "olga", late, "its run was cancelled") == ()
        assert (closed.state, closed.decided_by) == (ApprovalState.EXPIRED, "core")
        assert isinstance(await world.desk.submit(TRADER, intent.intent_id, WorkingStyle.NOW), RiskDecision)


async def test_cancelling_a_run_closes_what_it_asks(tmp_path: Path) -> None:
    async with open_world(tmp_path, **ASKS) as world:
        intent = await _asked(world)
        async with world.database.transaction() as uow:
            (closed,) = await withdraw(uow, RUN, "olga", world.clock.now(), "its run was cancelled")
        assert (closed.state, closed.decided_by, closed.reason) == (ApprovalState.REJECTED, "olga", "its run was cancelled")
        with pytest.raises(ApprovalError):
            await world.desk.decide_approval(OPERATOR, intent.intent_id, approve=True, reason="")
