"""Runs that are asked for: each is done once, tells all it does, and ends."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from graph.events import FINAL
from graph.runs.desks import Desks
from graph.runs.event_log import EventLog
from graph.runs.manager import RunManager
from graph.runs.orders import OrderTicket
from graph.runs.worker import Pace
from tests.integration.held import Held
from tests.integration.manned import QUICK, Manned, manned
from tests.integration.worlds import SYMBOLS, config, trail
from tests.waiting import until
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.clock import SystemClock
from trading_core.domain.errors import BrokerUnavailable, NotPermitted, RunError, UnknownRun
from trading_core.domain.intents import ApprovalState
from trading_core.domain.orders import Order, Purpose
from trading_core.execution.control import Control
from trading_core.execution.protection import Protection
from trading_core.persistence.desk_records import RunRequest, Trigger
from trading_core.persistence.records import OrderTrail, RunKind, RunRecord, RunState
from trading_core.persistence.session import Database

SOON = 60.0  # seconds that a run of these tests is given
ASKS = {"approval_above_notional": "1000", "max_position": "0.3"}


async def buy(here: Manned, quote: str = "600", symbol: str = "BTC/USDT", **changes: object) -> OrderTicket:
    ticker = await here.system.feed.ticker(symbol, as_of=here.system.clock.now())
    assert ticker is not None
    stop = ticker.last * 95 / 100
    return OrderTicket.model_validate({"symbol": symbol, "side": "buy", "notional": quote, "stop_price": stop, **changes})


async def ordered(here: Manned, run_id: str, **changes: object) -> RunRecord:
    ticket = await buy(here, **changes)
    await here.runs.request_order(here.olga, here.account, ticket, run_id=run_id)
    return await here.runs.wait(run_id, SOON)


async def resting(here: Manned) -> OrderTrail:
    """A buy below the market, sent by run `o`, that goes on working."""
    ticker = await here.system.feed.ticker("BTC/USDT", as_of=here.system.clock.now())
    assert ticker is not None
    low = {"type": "limit", "limit_price": ticker.last * 97 / 100, "stop_price": ticker.last * 90 / 100}
    assert (await ordered(here, "o", **low)).state is RunState.DONE
    (kept,) = (await trail(here.system, "o")).orders
    return kept


async def _answer(here: Manned, run_id: str, *, approve: bool) -> None:
    async with here.database.reading() as uow:
        (asked,) = await uow.approvals.of_run(run_id)
    runs = RunManager(here.database, here.system.clock, here.log, Desks(), "door")  # a process without the desk
    await runs.decide_approval(here.olga, asked.intent_id, approve=approve, reason="seen")


async def is_whole(here: Manned, run_id: str) -> list[str]:
    """The kinds of what a run told, which must be without a gap and end once."""
    events = await here.events(run_id)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    assert [event.kind in FINAL for event in events] == [False] * (len(events) - 1) + [True]
    return [event.kind for event in events]


async def test_a_cycle_that_is_asked_for_is_done_and_told(tmp_path: Path) -> None:
    async with manned(tmp_path) as here:
        asked = await here.runs.request_cycle(here.olga, here.account, run_id="c")
        assert asked.state is RunState.QUEUED
        assert (await here.runs.wait("c", SOON)).state is RunState.DONE
        kinds = await is_whole(here, "c")
        assert kinds[:3] == ["run_queued", "run_started", "snapshot_taken"]
        assert {"gate_decided", "order_sent", "fill_booked"} <= set(kinds)
        again = await here.runs.request_cycle(here.olga, here.account, run_id="c")
        assert again.state is RunState.DONE
        assert await is_whole(here, "c") == kinds, "asked again, nothing is done or told again"
        kept = await trail(here.system, "c")
        assert kept.run.session_id == here.system.config.session_id
        with pytest.raises(RunError, match="another"):
            await here.runs.request_cycle(here.olga, here.account, run_id="c", symbols=["BTC/USDT"])


async def test_a_cycle_looks_at_the_symbols_that_were_asked_for(tmp_path: Path) -> None:
    async with manned(tmp_path) as here:
        await here.runs.request_cycle(here.olga, here.account, run_id="c", symbols=["BTC/USDT"])
        assert (await here.runs.wait("c", SOON)).state is RunState.DONE
        kept = await trail(here.system, "c")
        assert {decision.subject for decision in kept.decisions} == {"BTC/USDT"}
        assert kept.orders == ()
        await here.runs.request_cycle(here.olga, here.account, run_id="x", symbols=["NO/USDT"])
        record = await here.runs.wait("x", SOON)
        assert (record.state, "NO/USDT" in record.error) == (RunState.FAILED, True)


async def test_who_may_not_trade_gets_no_run_and_stops_none(tmp_path: Path) -> None:
    async with manned(tmp_path, working=False) as here:
        viewer = Principal("user:v", frozenset({Action.READ_PORTFOLIO}), frozenset({here.account}))
        stranger = Principal("user:s", frozenset(Action), frozenset({"elsewhere"}))
        ticket = await buy(here)
        await here.runs.request_cycle(here.olga, here.account, run_id="c")
        for who in (viewer, stranger):
            with pytest.raises(NotPermitted):
                await here.runs.request_cycle(who, here.account, run_id="x")
            with pytest.raises(NotPermitted):
                await here.runs.request_order(who, here.account, ticket, run_id="x")
            with pytest.raises(NotPermitted):
                await here.runs.request_cancel_order(who, here.account, "atx", run_id="x")
            with pytest.raises(NotPermitted):
                await here.runs.cancel(who, "c")
        with pytest.raises(UnknownRun):
            await here.runs.cancel(here.olga, "x")


async def test_an_order_is_sent_filled_and_told(tmp_path: Path) -> None:
    async with manned(tmp_path) as here:
        assert (await ordered(here, "o")).state is RunState.DONE
        kinds = await is_whole(here, "o")
        told = ["run_queued", "run_started", "gate_decided", "order_sent", "fill_booked", "order_sent", "run_done"]
        assert kinds == told, "the second order is the protective stop"
        order = (await here.events("o"))[-1].data["order"]
        assert isinstance(order, dict)
        assert (order["state"], order["symbol"], order["side"], order["run_id"]) == ("filled", "BTC/USDT", "buy", "o")
        assert [kept.order.purpose for kept in (await trail(here.system, "o")).orders] == [Purpose.ENTRY, Purpose.STOP]


async def test_a_denied_order_is_done_with_the_gates_reason(tmp_path: Path) -> None:
    async with manned(tmp_path) as here:
        await Control(here.account, here.database, here.system.clock).halt(here.olga, "for the test")
        assert (await ordered(here, "o")).state is RunState.DONE
        assert await is_whole(here, "o") == ["run_queued", "run_started", "gate_decided", "order_denied", "run_done"]
        told = (await here.events("o"))[-1].data
        assert told["outcome"] == "denied"
        assert "trading_state" in told["reason_codes"]
        assert (await trail(here.system, "o")).orders == ()


@pytest.mark.parametrize("approve", [True, False])
async def test_an_order_waits_for_an_operator(tmp_path: Path, approve: bool) -> None:
    async with manned(tmp_path, config(limits=ASKS)) as here:
        assert (await ordered(here, "o", quote="2000")).state is RunState.WAITING
        assert (await here.kinds("o"))[-2:] == ["approval_requested", "run_waiting"]
        await _answer(here, "o", approve=approve)
        assert (await here.ends("o")).state is RunState.DONE
        kinds = await is_whole(here, "o")
        assert kinds.count("approval_requested") == 1
        after = kinds[kinds.index("run_waiting") + 1 :]
        assert after == [
            "approval_decided",
            "run_resumed",
            *(["order_sent", "fill_booked", "order_sent"] if approve else []),
            "run_done",
        ]
        assert len((await trail(here.system, "o")).orders) == (2 if approve else 0), "with its stop"


async def test_what_nobody_answers_in_time_ends(tmp_path: Path) -> None:
    async with manned(tmp_path, config(limits={**ASKS, "approval_lasts_seconds": 30})) as here:
        assert (await ordered(here, "o", quote="2000")).state is RunState.WAITING
        await here.system.clock.sleep(31)
        assert (await here.ends("o")).state is RunState.DONE
        kinds = await is_whole(here, "o")
        assert kinds[-3:] == ["approval_decided", "run_resumed", "run_done"]
        assert (await here.events("o"))[-1].data["outcome"] == ApprovalState.EXPIRED


async def test_cycles_go_on_while_one_waits_and_that_one_still_acts_when_it_is_answered(tmp_path: Path) -> None:
    async with manned(tmp_path, config(limits=ASKS)) as here:
        await here.runs.request_cycle(here.olga, here.account, run_id="first")
        assert (await here.runs.wait("first", SOON)).state is RunState.WAITING
        assert (await here.kinds("first"))[-2:] == ["approval_requested", "run_waiting"]
        await here.system.clock.sleep(5)
        await here.runs.request_cycle(here.olga, here.account, run_id="second", symbols=["BTC/USDT"])
        assert (await here.runs.wait("second", SOON)).state is RunState.DONE
        assert (await here.record("first")).state is RunState.WAITING
        await _answer(here, "first", approve=True)
        assert (await here.ends("first")).state is RunState.DONE
        assert "order_sent" in await is_whole(here, "first")


async def test_a_limit_order_works_on_after_its_run_and_through_cycles_until_it_is_taken_back(tmp_path: Path) -> None:
    async with manned(tmp_path) as here:
        kept = await resting(here)
        assert kept.order.is_live
        await here.runs.request_cycle(here.olga, here.account, run_id="c")
        assert (await here.runs.wait("c", SOON)).state is RunState.DONE
        (kept,) = (await trail(here.system, "o")).orders
        assert kept.order.is_live, "what a person ordered is not a cycle's to take back"
        key = kept.order.client_order_id
        await here.runs.request_cancel_order(here.olga, here.account, key, run_id="x")
        assert (await here.runs.wait("x", SOON)).state is RunState.DONE
        assert await is_whole(here, "x") == ["run_queued", "run_started", "order_cancelled", "run_done"]
        (kept,) = (await trail(here.system, "o")).orders
        assert not kept.order.is_live


async def test_nothing_can_be_made_of_some_orders(tmp_path: Path) -> None:
    async with manned(tmp_path) as here:
        unknown = OrderTicket.model_validate({"symbol": "NO/USDT", "side": "sell", "quantity": "1"})
        await here.runs.request_order(here.olga, here.account, unknown, run_id="o")
        record = await here.runs.wait("o", SOON)
        assert (record.state, "NO/USDT" in record.error) == (RunState.FAILED, True)
        assert (await is_whole(here, "o"))[-1] == "run_failed"


async def test_whoever_is_no_user_any_more_has_nothing_sent(tmp_path: Path) -> None:
    async with manned(tmp_path) as here:
        gone = Principal("user:gone", frozenset(Action), frozenset({here.account}))
        await here.runs.request_order(gone, here.account, await buy(here), run_id="o")
        record = await here.runs.wait("o", SOON)
        assert (record.state, "no active user" in record.error) == (RunState.FAILED, True)
        assert (await trail(here.system, "o")).intents == ()


async def test_a_run_that_nobody_works_on_is_cancelled_at_once(tmp_path: Path) -> None:
    async with manned(tmp_path, config(limits=ASKS)) as here:
        await ordered(here, "o", quote="2000")
        assert (await here.runs.cancel(here.olga, "o")).state is RunState.CANCELLED
        assert (await here.runs.cancel(here.olga, "o")).state is RunState.CANCELLED
        await here.system.clock.sleep(5)
        assert (await is_whole(here, "o"))[-1] == "run_cancelled"
        async with here.database.reading() as uow:
            (asked,) = await uow.approvals.of_run("o")
            assert asked.state is ApprovalState.REJECTED
            assert await uow.intents.waiting(here.account) == ()


async def test_a_cycle_under_way_is_stopped_at_its_next_step(tmp_path: Path) -> None:
    model = Held()
    async with manned(tmp_path, model=model) as here:
        await here.runs.request_cycle(here.olga, here.account, run_id="c")
        await model.met()
        assert (await here.runs.cancel(here.olga, "c")).state is RunState.RUNNING
        await until(lambda: here.is_to_stop("c"))
        model.let_go()
        assert (await here.ends("c")).state is RunState.CANCELLED
        kinds = await is_whole(here, "c")
        assert kinds.count("agent_answered") == len(SYMBOLS), "what was begun is finished, and nothing after it"
        assert (await here.events("c"))[-1].data == {"by": "olga"}


async def test_cycles_run_one_by_one_and_orders_beside_them(tmp_path: Path) -> None:
    model = Held()
    async with manned(tmp_path, model=model) as here:
        for run_id in ("one", "two"):
            await here.runs.request_cycle(here.olga, here.account, run_id=run_id)
        await model.met()
        assert (await ordered(here, "o")).state is RunState.DONE, "an order does not wait for a model"
        assert [(await here.record(run_id)).state for run_id in ("one", "two")] == [RunState.RUNNING, RunState.QUEUED]
        assert (await here.runs.cancel(here.olga, "two")).state is RunState.CANCELLED
        model.let_go()
        assert (await here.ends("one")).state is RunState.DONE
        assert await is_whole(here, "two") == ["run_queued", "run_cancelled"]


async def test_a_process_without_the_desk_leaves_the_run_to_the_one_that_has_it(tmp_path: Path) -> None:
    async with manned(tmp_path) as here, await Database.open(tmp_path / "desk.db") as database:
        async with EventLog(database, SystemClock()).open() as log:
            door = RunManager(database, SystemClock(), log, Desks(), "door")
            async with door.working():
                await door.request_cycle(here.olga, here.account, run_id="c")
                assert (await door.wait("c", SOON)).state is RunState.DONE


async def test_runs_of_the_command_line_are_left_to_it(tmp_path: Path) -> None:
    async with manned(tmp_path) as here:
        now = here.system.clock.now()
        async with here.database.transaction() as uow:
            await uow.runs.start(RunRecord("own", here.account, RunKind.CYCLE, now, now))
        with pytest.raises(RunError, match="command line"):
            await here.runs.cancel(here.olga, "own")
        await asyncio.sleep(0.2)
        assert await here.events("own") == []
        assert (await here.record("own")).state is RunState.RUNNING


async def test_a_request_that_makes_no_sense_fails_and_harms_nothing(tmp_path: Path) -> None:
    async with manned(tmp_path) as here:
        now = here.system.clock.now()
        async with here.database.transaction() as uow:
            await uow.runs.queue(RunRecord("o", here.account, RunKind.ORDER, now, now, state=RunState.QUEUED))
            await uow.run_requests.add(RunRequest("o", here.account, "olga", Trigger.OPERATOR, {"ticket": "?"}, now))
        assert (await here.ends("o")).state is RunState.FAILED
        assert (await ordered(here, "fine")).state is RunState.DONE


async def test_a_run_that_is_cancelled_just_as_it_begins_to_wait_ends(tmp_path: Path) -> None:
    async with manned(tmp_path, config(limits=ASKS)) as here:
        await ordered(here, "o", quote="2000")
        async with here.database.transaction() as uow:  # what `cancel` leaves for a run that somebody is at work on
            assert await uow.run_requests.ask_cancel("o", "olga")
        assert (await here.ends("o")).state is RunState.CANCELLED
        assert (await is_whole(here, "o"))[-1] == "run_cancelled"
        async with here.database.reading() as uow:
            (asked,) = await uow.approvals.of_run("o")
            assert asked.state is ApprovalState.REJECTED
            assert await uow.intents.waiting(here.account) == ()


async def test_a_cycle_that_waited_for_its_turn_needs_the_rights_of_today(tmp_path: Path) -> None:
    async with manned(tmp_path) as here:
        gone = Principal("user:gone", frozenset(Action), frozenset({here.account}))
        await here.runs.request_cycle(gone, here.account, run_id="c")
        record = await here.runs.wait("c", SOON)
        assert (record.state, "no active user" in record.error) == (RunState.FAILED, True)
        assert (await trail(here.system, "c")).orders == ()


async def test_nothing_more_is_done_on_an_account_that_is_lost_while_the_process_stops(tmp_path: Path) -> None:
    model = Held()
    async with manned(tmp_path, model=model, working=False, pace=replace(QUICK, drain=3_600.0)) as here:
        async with here.runs.working():  # it does not wait for the run to come to a boundary: it would for an hour
            await here.runs.request_cycle(here.olga, here.account, run_id="c")
            await model.met()
            here.desks.remove(here.account)
        assert (await here.record("c")).state is RunState.RUNNING
        async with here.database.reading() as uow:
            request = await uow.run_requests.get("c")
        assert request is not None
        assert request.claimed_by is None


async def test_a_run_that_was_taken_over_while_it_waited_for_its_turn_is_left_alone(tmp_path: Path) -> None:
    model = Held()
    slow = Pace(look=0.05, claim=600.0, drain=5.0)  # it does not notice by itself
    async with manned(tmp_path, model=model, pace=slow) as here:
        for run_id in ("one", "two"):
            await here.runs.request_cycle(here.olga, here.account, run_id=run_id)
        await model.met()
        await until(lambda: here.held == {"one", "two"})
        async with here.database.transaction() as uow:
            assert await uow.run_requests.release("two", "one")
            now = SystemClock().now()
            taken = await uow.run_requests.claim(here.account, "another", now, now + timedelta(hours=1), 10)
            assert [request.run_id for request in taken] == ["two"]
        model.let_go()
        assert (await here.ends("one")).state is RunState.DONE
        await asyncio.sleep(0.3)
        assert (await here.record("two")).state is RunState.QUEUED


async def test_a_sale_that_is_out_is_no_failure_when_the_stop_of_the_rest_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with manned(tmp_path) as here:
        assert (await ordered(here, "o")).state is RunState.DONE

        async def unreachable(*_: object) -> tuple[Order, ...]:
            raise BrokerUnavailable("the venue does not answer", not_done="No stop was placed")

        monkeypatch.setattr(Protection, "protect", unreachable)
        ticket = OrderTicket.model_validate({"symbol": "BTC/USDT", "side": "sell", "fraction": "0.5"})
        await here.runs.request_order(here.olga, here.account, ticket, run_id="s")
        assert (await here.runs.wait("s", SOON)).state is RunState.DONE
        assert (await here.events("s"))[-1].data["outcome"] == "sent"


async def test_what_was_asked_for_at_a_door_is_not_resumed_as_a_cycle_of_the_command_line(tmp_path: Path) -> None:
    async with manned(tmp_path, config(limits=ASKS)) as here:
        await ordered(here, "o", quote="2000")
        with pytest.raises(RunError, match="serve"):
            await here.system.runner.resume("o")
        assert (await here.record("o")).state is RunState.WAITING
        assert (await trail(here.system, "o")).decisions == ()
