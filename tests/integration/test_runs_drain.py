"""A process that is told to stop leaves every run where the next one goes on, and loses nothing that was paid for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from graph.events import FINAL
from tests.integration.held import Held
from tests.integration.manned import QUICK, manned
from tests.integration.worlds import SYMBOLS, trail
from tests.waiting import until
from trading_core.domain.clock import SystemClock
from trading_core.persistence.desk_records import Author, Conversation
from trading_core.persistence.records import RunState
from trading_core.persistence.session import Database

SOON = 60.0


async def _claimed(path: Path, run_id: str) -> str | None:
    async with await Database.open(path / "desk.db") as database, database.reading() as uow:
        request = await uow.run_requests.get(run_id)
    assert request is not None
    return request.claimed_by


async def test_a_cycle_stops_between_two_steps_and_goes_on_in_the_next_process(tmp_path: Path) -> None:
    first, second = Held(), Held()
    second.let_go()
    async with manned(tmp_path, model=first) as here:
        await here.runs.request_cycle(here.olga, here.account, run_id="c")
        await here.runs.request_cycle(here.olga, here.account, run_id="later")
        await first.met()
        asyncio.get_running_loop().call_later(0.3, first.let_go)
    async with manned(tmp_path, model=second, holder="two", working=False) as here:
        assert (await here.record("c")).state is RunState.RUNNING
        assert (await here.record("later")).state is RunState.QUEUED, "nothing new is begun"
        assert await _claimed(tmp_path, "c") is None, "the next process need not wait for a claim to run out"
        assert await here.kinds("later") == ["run_queued"]
        stopped = await here.kinds("c")
        assert stopped.count("agent_answered") == len(SYMBOLS), "a model that was asked is heard out"
        async with here.runs.working():
            assert (await here.runs.wait("c", SOON)).state is RunState.DONE
            assert (await here.runs.wait("later", SOON)).state is RunState.DONE
        events = await here.events("c")
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        kinds = [event.kind for event in events]
        assert kinds[len(stopped)] == "run_resumed"
        assert kinds.count("run_started") == 1
        assert sum(kind in FINAL for kind in kinds) == 1
        answered = [event.data["outcome"] for event in events if event.kind == "agent_answered"]
        asked = [(outcome["agent"], outcome["subject"]) for outcome in answered]
        assert len(asked) == len(set(asked)) == len((await trail(here.system, "c")).decisions)


async def test_a_run_that_comes_to_no_boundary_does_not_keep_the_process(tmp_path: Path) -> None:
    model = Held()
    async with asyncio.timeout(60):
        async with manned(tmp_path, model=model, pace=replace(QUICK, drain=0.3)) as here:
            await here.runs.request_cycle(here.olga, here.account, run_id="c")
            await model.met()
    assert await _claimed(tmp_path, "c") is None
    async with manned(tmp_path, holder="two") as here:
        assert (await here.runs.wait("c", SOON)).state is RunState.DONE
        assert (await here.kinds("c")).count("run_resumed") == 1


async def test_an_answer_is_heard_out_before_the_process_ends(tmp_path: Path) -> None:
    async with manned(tmp_path) as here:
        now, olga = here.system.clock.now(), here.olga
        thread = Conversation("t", here.account, olga.name, "Exposure", now, now)
        async with here.database.transaction() as uow:
            await uow.conversations.add(thread)
        await here.runs.request_turn(olga, thread, "What is our exposure?", run_id="q")
        await here.begins("q")
    async with await Database.open(tmp_path / "desk.db") as database, database.reading() as uow:
        record = await uow.runs.get("q")
        said = await uow.conversations.messages("t", limit=10)
    assert record is not None
    assert record.state is RunState.DONE, record.error
    assert [message.author for message in said[:2]] == [Author.OPERATOR, Author.AGENT]


async def test_a_claim_that_was_lost_ends_the_work(tmp_path: Path) -> None:
    """Another process has taken the run: this one does nothing more for it."""
    model = Held()
    async with manned(tmp_path, model=model) as here:
        await here.runs.request_cycle(here.olga, here.account, run_id="c")
        await model.met()
        async with here.database.transaction() as uow:
            assert await uow.run_requests.release("c", "one")
            later = SystemClock().now() + timedelta(hours=1)
            (taken,) = await uow.run_requests.claim(here.account, "rival", here.system.clock.now(), later, 1)
        assert taken.run_id == "c"
        await until(lambda: not here.held)
        model.let_go()
        await asyncio.sleep(0.3)
        assert (await here.record("c")).state is RunState.RUNNING
        assert "agent_answered" not in await here.kinds("c")
    assert await _claimed(tmp_path, "c") == "rival"


async def test_an_account_that_is_given_up_is_left_alone(tmp_path: Path) -> None:
    model = Held()
    async with manned(tmp_path, model=model) as here:
        await here.runs.request_cycle(here.olga, here.account, run_id="c")
        await model.met()
        here.desks.remove(here.account)
        await until(lambda: not here.held)
        model.let_go()
        await asyncio.sleep(0.3)
        assert (await here.record("c")).state is RunState.RUNNING
        assert "agent_answered" not in await here.kinds("c")
