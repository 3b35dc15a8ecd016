"""Runs that are asked for: queued, claimed, begun, stopped, listed, and what they have used. On both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from tests.unit.desk_rows import AT, LATER, SECOND, conversation, message, open_account, queue, request, run, schedule
from trading_core.domain.errors import LedgerError, RunError
from trading_core.domain.intents import TradeIntent
from trading_core.domain.orders import Order, OrderRequest, OrderType, Purpose, Side
from trading_core.persistence.desk_records import Trigger, Used
from trading_core.persistence.records import DecisionRecord, Outcome, RunKind, RunState, SessionRecord
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork


@pytest.fixture
async def database(location: str) -> AsyncIterator[Database]:
    async with await Database.open(location) as database:
        async with database.transaction() as uow:
            await open_account(uow, "a", "b")
        yield database


async def test_a_queued_run_is_begun_once_with_what_it_may_know(database: Database) -> None:
    async with database.transaction() as uow:
        queued = await uow.runs.queue(run("r1"))
        assert queued == replace(run("r1"), state=RunState.QUEUED) == await uow.runs.get("r1")
        begun = await uow.runs.begin("r1", AT + SECOND, LATER)
        assert begun == replace(run("r1"), state=RunState.RUNNING, as_of=AT + SECOND, started_at=LATER)
        assert await uow.runs.begin("r1", LATER, LATER + SECOND) == begun, "as it is"
        assert await uow.runs.queue(replace(run("r1"), as_of=LATER)) == begun, "asked for again"
        await uow.runs.set_state("r1", RunState.CANCELLED, at=LATER)
        assert await uow.runs.begin("r1", LATER, LATER) == replace(begun, state=RunState.CANCELLED, ended_at=LATER)
        for change in ({"account_id": "b"}, {"kind": RunKind.ORDER}):
            with pytest.raises(RunError, match="'r1' is on record with another payload"):
                await uow.runs.queue(replace(run("r1"), **change))
        with pytest.raises(RunError, match="'r2' is not on record"):
            await uow.runs.begin("r2", AT, AT)


async def test_a_run_queued_without_a_session_gets_one_and_its_number_when_it_begins(database: Database) -> None:
    async with database.transaction() as uow:
        await uow.sessions.add(SessionRecord("s1", {}, AT))
        for name in ("r1", "r2"):
            await uow.runs.queue(run(name))
        await uow.runs.start(run("r3", session="s1"))
        for name in ("r2", "r1", "r1"):
            assert (await uow.runs.begin(name, AT, AT, session_id="s1")).session_id == "s1"
        await uow.runs.start(run("r4", session="s1"))
        assert [await uow.runs.count_before(name) for name in ("r3", "r2", "r1", "r4")] == [0, 1, 2, 3]
        assert (await uow.runs.queue(run("r1"))).session_id == "s1", "asked for again by a door that knows of no session"


async def test_orders_and_conversations_are_no_cycles_and_are_not_counted_as_such(database: Database) -> None:
    kinds = (RunKind.ORDER, RunKind.CYCLE, RunKind.CONVERSATION, RunKind.ORDER, RunKind.REBALANCE, RunKind.CYCLE, RunKind.ORDER)
    async with database.transaction() as uow:
        await uow.sessions.add(SessionRecord("s1", {}, AT))
        for index, kind in enumerate(kinds):
            await uow.runs.start(replace(run(f"r{index}", session="s1"), kind=kind))
        assert [await uow.runs.count_before(f"r{index}") for index in range(len(kinds))] == [0, 0, 1, 1, 1, 2, 3]


async def test_an_intent_of_a_queued_or_waiting_run_keeps_its_reservation_until_the_run_ends(database: Database) -> None:
    async with database.transaction() as uow:
        await queue(uow, "r1")
        await uow.intents.add(wanted("r1"))
        for state in (RunState.QUEUED, RunState.RUNNING, RunState.WAITING):
            await uow.runs.set_state("r1", state, at=AT)
            assert [intent.run_id for intent in await uow.intents.waiting("a")] == ["r1"], state
        for state in (RunState.DONE, RunState.FAILED, RunState.CANCELLED):
            await uow.runs.set_state("r1", state, at=LATER)
            assert await uow.intents.waiting("a") == (), state
            ended = await uow.runs.get("r1")
            assert ended is not None
            assert ended.ended_at == LATER


async def test_a_request_comes_back_as_written_and_is_bound_to_its_payload(database: Database) -> None:
    async with database.transaction() as uow:
        await uow.runs.queue(run("r1"))
        assert await uow.run_requests.add(request("r1"))
        assert not await uow.run_requests.add(request("r1", at=LATER))
        assert await uow.run_requests.get("r1") == request("r1")
        assert await uow.run_requests.get("r2") is None
        changes = ({"requested_by": "user:ivo"}, {"trigger": Trigger.SCHEDULE}, {"payload": {}}, {"account_id": "b"})
        for change in changes:
            with pytest.raises(RunError, match="'r1' was asked for with another payload"):
                await uow.run_requests.add(replace(request("r1"), **change))
    with pytest.raises(LedgerError, match=r"(?i)foreign key"):
        async with database.transaction() as uow:
            await uow.run_requests.add(request("no run"))


async def test_runs_are_claimed_oldest_first_until_the_claim_is_over(database: Database) -> None:
    async with database.transaction() as uow:
        await queue(uow, "r3", "r1", "r2", "done", "waiting")
        await queue(uow, "other", account="b")
        await uow.runs.start(run("by the command line"))
        await uow.runs.set_state("done", RunState.DONE, at=AT)
        await uow.runs.set_state("waiting", RunState.WAITING, at=AT)
        first = await uow.run_requests.claim("a", "one", AT, LATER, 2)
        assert [found.run_id for found in first] == ["r3", "r1"]
        assert {(found.claimed_by, found.claimed_until) for found in first} == {("one", LATER)}
        await uow.runs.begin("r3", AT, AT)
        assert [found.run_id for found in await uow.run_requests.claim("a", "two", AT, LATER, 9)] == ["r2"]
        assert await uow.run_requests.claim("a", "one", LATER - SECOND, LATER, 9) == ()
        assert await uow.run_requests.renew(["r3", "r2", "?"], "one", LATER + SECOND) == {"r3"}
        assert await uow.run_requests.renew([], "one", LATER) == frozenset()
        over = await uow.run_requests.claim("a", "three", LATER, LATER + 2 * SECOND, 9)
        assert [found.run_id for found in over] == ["r1", "r2"]
        assert not await uow.run_requests.release("r3", "three")
        assert await uow.run_requests.release("r3", "one")
        assert [found.run_id for found in await uow.run_requests.claim("a", "three", AT, LATER, 9)] == ["r3"]


async def test_a_claim_that_a_wrong_clock_has_made_keeps_no_run_for_years(database: Database) -> None:
    async with database.transaction() as uow:
        await queue(uow, "r1")
        assert await uow.run_requests.claim("a", "ahead", AT, AT + timedelta(days=4_000), 9)
        assert await uow.run_requests.claimable("a", AT, RunKind)
        assert [found.run_id for found in await uow.run_requests.claim("a", "two", AT, LATER, 9)] == ["r1"]


async def test_only_the_wanted_kinds_are_claimed(database: Database) -> None:
    async with database.transaction() as uow:
        await queue(uow, "r1")
        others = set(RunKind) - {run("r1").kind}
        assert not await uow.run_requests.claimable("a", AT, others)
        assert not await uow.run_requests.claimable("a", AT, ())
        assert await uow.run_requests.claim("a", "one", AT, LATER, 9, others) == ()
        assert await uow.run_requests.claimable("a", AT, RunKind)
        assert not await uow.run_requests.claimable("b", AT, RunKind)
        assert await uow.run_requests.claim("a", "one", AT, LATER, 9)
        assert not await uow.run_requests.claimable("a", AT, RunKind), "it is taken"


async def test_what_somebody_has_asked_for_and_is_not_over_is_counted(database: Database) -> None:
    async with database.transaction() as uow:
        await queue(uow, "r1", "r2", "r3")
        await queue(uow, "elsewhere", account="b")
        await uow.runs.queue(run("another's"))
        await uow.run_requests.add(replace(request("another's"), requested_by="user:paul"))
        for name, state in (("r1", RunState.WAITING), ("r2", RunState.DONE)):
            await uow.runs.set_state(name, state, at=AT)
        assert await uow.run_requests.open_by("user:olga", "a", RunKind.CYCLE) == 2
        assert await uow.run_requests.open_by("user:olga", "a", RunKind.CONVERSATION) == 0
        assert await uow.run_requests.open_by("user:nobody", "a", RunKind.CYCLE) == 0


async def test_of_two_who_claim_at_once_each_run_goes_to_one(database: Database, location: str) -> None:
    async with database.transaction() as uow:
        await queue(uow, *(f"r{number:02}" for number in range(24)))

    async def work(own: Database, holder: str) -> list[str]:
        mine: list[str] = []
        for _ in range(40):
            async with own.transaction() as uow:
                found = await uow.run_requests.claim("a", holder, AT, LATER, 3)
            mine += [one.run_id for one in found]
            await asyncio.sleep(0)
        return mine

    async with await Database.open(location) as other:
        taken = await asyncio.gather(*(work(own, f"{n}") for n, own in enumerate([database, other, database, other])))
    every = [run_id for mine in taken for run_id in mine]
    assert sorted(every) == [f"r{number:02}" for number in range(24)]


async def test_a_run_is_asked_to_stop_while_it_is_not_over(database: Database) -> None:
    async with database.transaction() as uow:
        await queue(uow, "r1", "r2")
        await uow.runs.start(run("by the command line"))
        await uow.runs.set_state("r2", RunState.DONE, at=AT)
        asked = [await uow.run_requests.ask_cancel(name, "olga\x00") for name in ("r1", "r2", "?", "by the command line")]
        assert asked == [True, False, False, False]
        assert await uow.run_requests.ask_cancel("r1", "user:ivo")
        assert await uow.run_requests.cancelled(["r1", "r2"]) == {"r1"}
        assert await uow.run_requests.cancelled([]) == frozenset()
        found = await uow.run_requests.get("r1")
        assert found is not None
        assert found.cancel_requested_by == "olga\x00"


async def test_runs_are_found_by_conversation_and_by_schedule(database: Database) -> None:
    async with database.transaction() as uow:
        await uow.conversations.add(conversation())
        await uow.schedules.add(schedule())
        await queue(uow, "t2", "t1", "t3", schedule="s")
        await queue(uow, "else")
        await uow.runs.set_state("t1", RunState.CANCELLED, at=AT)
        await uow.runs.set_state("t3", RunState.WAITING, at=AT)
        assert await uow.run_requests.open_of_schedule("s") == ("t2", "t3")
        assert await uow.run_requests.open_of_schedule("?") == ()
        for number, name in enumerate(["q1", "q2", "q3"]):
            await uow.runs.queue(run(name, kind=RunKind.CONVERSATION))
            await uow.run_requests.add(request(name, at=AT + number * SECOND, conversation="c"))
        assert [turn.run_id for turn in await uow.run_requests.of_conversation("c", 2)] == ["q3", "q2"]


async def test_runs_are_listed_newest_first_page_by_page(database: Database) -> None:
    async with database.transaction() as uow:
        await queue(uow, "r1", "r2")
        await queue(uow, "r3", account="b")
        await uow.runs.start(run("r4"))
        await uow.runs.queue(run("r5", kind=RunKind.ORDER))
        await uow.runs.set_state("r2", RunState.DONE, at=AT)

        async def listed(*accounts: str, **wanted: object) -> list[str]:
            pages, before = [], None
            while page := await uow.runs.page(accounts, limit=2, before=before, **wanted):
                pages += [record.id for _, record, _ in page]
                before = page[-1][0]
            return pages

        assert await listed("a", "b", "a") == ["r5", "r4", "r3", "r2", "r1"]
        assert await listed("a") == ["r5", "r4", "r2", "r1"]
        assert await listed("b", "nobody") == ["r3"]
        assert await listed() == []
        assert await listed("a", "b", kinds=[RunKind.ORDER]) == ["r5"]
        assert await listed("a", "b", states=[RunState.QUEUED, RunState.DONE]) == ["r5", "r3", "r2", "r1"]
        page = await uow.runs.page(["a"], limit=9)
        assert {record.id: why and why.run_id for _, record, why in page} == {"r5": None, "r4": None, "r2": "r2", "r1": "r1"}
        assert page[-1][2] == request("r1")
        assert [found.id for found in await uow.runs.in_states("a", RunState.QUEUED, RunState.RUNNING)] == ["r1", "r4", "r5"]


def wanted(run_id: str, leg: str = "", proposer: str = "agent:risk", purpose: Purpose = Purpose.ENTRY) -> TradeIntent:
    return TradeIntent(
        intent_id=f"i-{run_id}{leg}",
        run_id=run_id,
        account_id="a",
        proposer=proposer,
        purpose=purpose,
        symbol="BTC/USDT",
        side=Side.BUY if purpose is Purpose.ENTRY else Side.SELL,
        quantity=Decimal(2),
        type=OrderType.LIMIT if purpose is Purpose.ENTRY else OrderType.MARKET,
        created_at=AT,
        limit_price=Decimal(10) if purpose is Purpose.ENTRY else None,
        stop_price=Decimal(9) if purpose is Purpose.ENTRY else None,
    )


async def send(uow: UnitOfWork, intent: TradeIntent, purpose: Purpose) -> None:
    await uow.intents.add(intent)
    asked = OrderRequest(f"o-{intent.intent_id}-{purpose}", intent.symbol, intent.side, intent.type, intent.quantity, Decimal(10))
    await uow.orders.add(Order(asked, "a", intent.intent_id, intent.run_id, purpose, AT))


async def test_what_runs_used_is_counted_by_schedule_and_by_agent(database: Database) -> None:
    said = DecisionRecord("r1", "risk", "BTC/USDT", Outcome.ANSWERED, AT, model="m1", input_tokens=10, output_tokens=2)
    usage = {"usage": {"model": "m2", "input_tokens": 100, "output_tokens": 20}}
    async with database.transaction() as uow:
        await uow.schedules.add(schedule())
        await uow.conversations.add(conversation())
        await queue(uow, "r1", "r2", schedule="s")
        await queue(uow, "r3")
        await uow.runs.queue(replace(run("old"), started_at=AT - SECOND))
        await uow.run_requests.add(request("old", at=AT - SECOND, schedule="s"))
        more = [replace(said, run_id=name) for name in ("r2", "r3", "old")]
        await uow.decisions.put_many([said, *more, replace(said, agent="signal", model="m3", input_tokens=1, output_tokens=0)])
        await uow.decisions.put(replace(said, subject="ETH/USDT", model="rules", input_tokens=0, output_tokens=0))
        await uow.conversations.say(replace(message("r2", "risk"), data=usage))
        await uow.conversations.say(message("r3", "risk"))  # says nothing of what it used
        await send(uow, wanted("r1"), Purpose.ENTRY)
        await send(uow, wanted("r1", "x", "agent:signal"), Purpose.ENTRY)
        await send(uow, wanted("r1", "y"), Purpose.STOP)
        assert await uow.run_requests.used_by_schedule("s", AT) == Used(145, {"m1": (20, 4), "m2": (100, 20), "m3": (1, 0)}, 2)
        assert await uow.run_requests.used_by_schedule("s", LATER) == Used(0, {}, 0)
        assert await uow.run_requests.used_by_agent("a", "risk", AT) == Used(156, {"m1": (30, 6), "m2": (100, 20)}, 1)
        assert await uow.run_requests.used_by_agent("b", "risk", AT) == Used(0, {}, 0)
