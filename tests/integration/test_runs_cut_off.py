"""Runs that were cut off, or left lying: what they may still do when they are taken up again, and what ends with them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from graph.events import EventKind
from graph.folders import Folders
from graph.runner import RunResult
from graph.runs.order_run import STALE_AFTER
from graph.runs.orders import OrderTicket
from tests.integration.manned import QUICK, Manned, manned
from tests.integration.test_run_manager import ASKS, SOON, buy, is_whole, ordered, resting
from tests.integration.worlds import ENTRY, config, trail
from trading_core.domain.clock import SystemClock
from trading_core.domain.errors import BrokerUnavailable, StoreUnavailable
from trading_core.domain.intents import ApprovalState, TradeIntent
from trading_core.execution.desk import Desk
from trading_core.persistence.desk_records import Conversation, RunRequest, Trigger
from trading_core.persistence.records import RunKind, RunRecord, RunState
from trading_core.persistence.repositories.decisions import DecisionsRepository

LONG_AGO = STALE_AFTER + timedelta(minutes=1)


async def _queued_order(here: Manned, run_id: str, ago: timedelta, ticket: OrderTicket) -> None:
    """An order as a door has queued it, some time ago."""
    at = SystemClock().now() - ago
    payload: dict[str, object] = {"ticket": ticket.model_dump(mode="json", exclude_none=True)}
    async with here.database.transaction() as uow:
        await uow.runs.queue(RunRecord(run_id, here.account, RunKind.ORDER, at, at, state=RunState.QUEUED))
        await uow.run_requests.add(RunRequest(run_id, here.account, "olga", Trigger.OPERATOR, payload, at))


async def test_an_order_that_no_desk_was_there_for_is_not_sent_when_one_starts(tmp_path: Path) -> None:
    async with manned(tmp_path, working=False) as here:
        ticket = await buy(here)
        await _queued_order(here, "old", LONG_AGO, ticket)
        await _queued_order(here, "new", STALE_AFTER / 2, ticket)
        async with here.runs.working():
            record = await here.ends("old")
            assert record.state is RunState.FAILED
            assert "6 minutes ago" in record.error
            assert (await here.ends("new")).state is RunState.DONE
        assert (await trail(here.system, "old")).intents == ()
        assert len((await trail(here.system, "new")).orders) == 2, "with its stop"


async def test_taking_an_order_back_has_no_time_after_which_it_is_refused(tmp_path: Path) -> None:
    async with manned(tmp_path) as here:
        kept = await resting(here)
        at = SystemClock().now() - LONG_AGO
        async with here.database.transaction() as uow:
            await uow.runs.queue(RunRecord("x", here.account, RunKind.ORDER, at, at, state=RunState.QUEUED))
            cancel = {"cancel": kept.order.client_order_id}
            await uow.run_requests.add(RunRequest("x", here.account, "olga", Trigger.OPERATOR, cancel, at))
        assert (await here.ends("x")).state is RunState.DONE
        (kept,) = (await trail(here.system, "o")).orders
        assert not kept.order.is_live


async def test_what_was_filled_is_not_told_to_be_taken_back(tmp_path: Path) -> None:
    async with manned(tmp_path) as here:
        await ordered(here, "o")
        entry = (await trail(here.system, "o")).orders[0].order
        await here.runs.request_cancel_order(here.olga, here.account, entry.client_order_id, run_id="x")
        assert (await here.runs.wait("x", SOON)).state is RunState.DONE
        assert await is_whole(here, "x") == ["run_queued", "run_started", "run_done"]
        assert (await here.events("x"))[-1].data["outcome"] == "not_cancelled"


async def test_a_cycle_that_was_cut_off_long_ago_trades_nothing(tmp_path: Path) -> None:
    async with manned(tmp_path, working=False) as here:
        await here.runs.request_cycle(here.olga, here.account, run_id="old")
        await here.runs.request_cycle(here.olga, here.account, run_id="new")
        async with here.database.transaction() as uow:
            for run_id, ago in (("old", timedelta(hours=2)), ("new", timedelta(minutes=50))):  # bars are of an hour
                await uow.runs.begin(run_id, ENTRY - ago, ENTRY - ago, session_id=here.system.config.session_id)
        async with here.runs.working():
            record = await here.ends("old")
            assert (record.state, "cut off" in record.error) == (RunState.FAILED, True)
            assert (await here.ends("new")).state is RunState.DONE
        assert (await trail(here.system, "old")).decisions == ()


async def test_what_a_run_asks_ends_with_it_when_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Desk.propose

    async def breaks_off(self: Desk, who: object, intent: TradeIntent) -> object:
        await real(self, who, intent)
        raise BrokerUnavailable("the venue does not answer", not_done="Nothing more was asked")

    monkeypatch.setattr(Desk, "propose", breaks_off)
    async with manned(tmp_path, config(limits=ASKS)) as here:
        record = await ordered(here, "o", quote="2000")
        assert record.state is RunState.FAILED
        assert (await is_whole(here, "o"))[-1] == "run_failed"
        async with here.database.reading() as uow:
            (asked,) = await uow.approvals.of_run("o")
            assert (asked.state, asked.reason) == (ApprovalState.REJECTED, "its run failed")
            assert await uow.approvals.pending(here.account) == ()
            assert await uow.intents.waiting(here.account) == ()


async def test_a_ledger_out_of_reach_for_a_moment_fails_no_cycle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, failed = DecisionsRepository.put, list[str]()

    async def away(self: DecisionsRepository, decision: object) -> None:
        if len(failed) < 2:
            failed.append("once more")
            raise StoreUnavailable("the database failed: it is restarted", not_done="Nothing of the transaction was written")
        await real(self, decision)

    monkeypatch.setattr(DecisionsRepository, "put", away)
    async with manned(tmp_path) as here:
        await here.runs.request_cycle(here.olga, here.account, run_id="c")
        record = await here.ends("c")
        assert (record.state, record.error) == (RunState.DONE, "")
        kinds = await is_whole(here, "c")
        assert kinds.count("run_resumed") in (1, 2), "branches of a step may have failed together"
        assert "order_sent" in kinds
        kept = await trail(here.system, "c")
        assert len({order.order.intent_id for order in kept.orders}) == len(kept.orders)


async def _questions(here: Manned, count: int) -> None:
    """So many conversations, each with a question that waits for its answer."""
    now = here.system.clock.now()
    for number in range(count):
        thread = Conversation(f"thread {number}", here.account, "olga", "", now, now)
        async with here.database.transaction() as uow:
            await uow.conversations.add(thread)
        await here.runs.request_turn(here.olga, thread, "What do we hold?", run_id=f"turn {number}")


async def test_many_questions_keep_no_order_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graph.runs.worker._MOST_CLAIMED", dict.fromkeys(RunKind, 3))
    answered = asyncio.Event()

    async def slow(*_: object) -> RunResult:
        await answered.wait()
        return RunResult("", RunState.DONE)

    monkeypatch.setattr("graph.runs.work.take_turn", slow)
    async with manned(tmp_path) as here:
        await _questions(here, 12)
        assert (await ordered(here, "o")).state is RunState.DONE
        assert (await here.record("turn 11")).state is RunState.QUEUED
        answered.set()
        assert (await here.ends("turn 11")).state is RunState.DONE


async def test_runs_that_wait_cost_the_ledger_no_writes(tmp_path: Path) -> None:
    async with manned(tmp_path, config(limits=ASKS)) as here:
        assert (await ordered(here, "o", quote="2000")).state is RunState.WAITING
        await asyncio.sleep(3 * QUICK.look)
        opened = 0
        real = here.database.transaction

        def counted() -> object:
            nonlocal opened
            opened += 1
            return real()

        here.database.transaction = counted
        await asyncio.sleep(6 * QUICK.look)
        assert opened == 0


async def test_a_run_that_is_over_leaves_no_checkpoints(tmp_path: Path) -> None:
    async with manned(tmp_path, config(limits=ASKS)) as here:
        for run_id in ("yes", "cancelled"):
            await here.runs.request_cycle(here.olga, here.account, run_id=run_id)
            assert (await here.runs.wait(run_id, SOON)).state is RunState.WAITING
            await here.runs.cancel(here.olga, run_id)
            await here.system.clock.sleep(5)
    async with manned(tmp_path, config(limits=ASKS)) as here:
        folder = Folders.of(tmp_path, here.system.config, str(tmp_path / "desk.db"))
        async with aiosqlite.connect(folder.checkpoints) as file:
            rows = await (await file.execute("SELECT DISTINCT thread_id FROM checkpoints")).fetchall()
    assert list(rows) == []


def _cut_off_after(here: Manned, monkeypatch: pytest.MonkeyPatch, kind: EventKind) -> list[str]:
    """Have the first run that tells of this be cut off right then; which one it was."""
    real, cut_off = here.system.asker.tell, list[str]()

    def tell(told: EventKind, run_id: str, /, **data: Any) -> None:
        real(told, run_id, **data)
        if told == kind and not cut_off:
            cut_off.append(run_id)
            raise StoreUnavailable("the database failed: it is restarted", not_done="Nothing of the transaction was written")

    monkeypatch.setattr(here.system.asker, "tell", tell)
    return cut_off


@pytest.mark.parametrize("kind", ["gate_decided", "approval_requested", "order_sent"])
async def test_a_step_that_is_done_again_tells_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: EventKind
) -> None:
    """It is cut off after it has told, and before its checkpoint."""
    asks = kind == "approval_requested"
    async with manned(tmp_path, config(limits=ASKS) if asks else config()) as here:
        cut_off = _cut_off_after(here, monkeypatch, kind)
        await here.runs.request_cycle(here.olga, here.account, run_id="c")
        record = await here.runs.wait("c", SOON)
        assert record.state is (RunState.WAITING if asks else RunState.DONE)
        kinds = await here.kinds("c")
    assert cut_off == ["c"]
    assert "run_resumed" in kinds
    assert kinds.count(kind) == (2 if kind == "order_sent" else 1), "an order and its stop are two"


async def test_taking_an_order_back_is_told_once_however_often_it_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with manned(tmp_path) as here:
        kept = await resting(here)
        cut_off = _cut_off_after(here, monkeypatch, "order_cancelled")
        await here.runs.request_cancel_order(here.olga, here.account, kept.order.client_order_id, run_id="x")
        assert (await here.ends("x")).state is RunState.DONE
        kinds = await here.kinds("x")
    assert cut_off == ["x"]
    assert kinds == ["run_queued", "run_started", "order_cancelled", "run_resumed", "run_done"]
