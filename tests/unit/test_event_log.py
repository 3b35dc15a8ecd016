"""The event log: nothing lost, nothing twice, in order; one reading for all who follow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from graph.events import RunEvent
from graph.runs.ending import end_run
from graph.runs.event_log import EventLog
from graph.runs.followers import Follower
from tests.waiting import until
from trading_core.domain.clock import SystemClock
from trading_core.domain.errors import LedgerError, UnknownRun
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.desk_records import NewEvent, RunRequest, StoredEvent, Trigger
from trading_core.persistence.records import RunKind, RunRecord, RunState
from trading_core.persistence.repositories.events import EventsRepository
from trading_core.persistence.session import Database

AT = datetime(2025, 3, 3, tzinfo=UTC)
ACCOUNT, OTHER = "paper", "other"


@asynccontextmanager
async def ledger(tmp_path: Path) -> AsyncIterator[Database]:
    async with await Database.open(tmp_path / "desk.db") as database:
        async with database.transaction() as uow:
            for account in (ACCOUNT, OTHER):
                await uow.portfolios.open_account(Portfolio.opened(account, "USDT", Decimal(1000)), "paper", AT)
        yield database


@asynccontextmanager
async def logs(tmp_path: Path) -> AsyncIterator[tuple[EventLog, Database]]:
    async with ledger(tmp_path) as database, EventLog(database, SystemClock()).open() as log:
        yield log, database


async def begin(database: Database, run_id: str, account: str = ACCOUNT) -> RunRecord:
    """A run that was asked for, and is under way."""
    async with database.transaction() as uow:
        await uow.runs.queue(RunRecord(run_id, account, RunKind.CYCLE, AT, AT, state=RunState.QUEUED))
        await uow.run_requests.add(RunRequest(run_id, account, "olga", Trigger.OPERATOR, {}, AT))
        return await uow.runs.begin(run_id, AT, AT)


async def end(database: Database, record: RunRecord, state: RunState = RunState.DONE) -> bool:
    async with database.transaction() as uow:
        return await end_run(uow, record, state, at=AT)


async def gathered(log: EventLog, run_id: str, after: int = 0) -> list[StoredEvent]:
    async with aclosing(log.follow_run(run_id, after)) as events:
        return [event async for event in events]


def test_a_follower_that_does_not_keep_up_is_told_to_read_for_itself() -> None:
    follower = Follower(frozenset({ACCOUNT}), None)
    for position in range(1, 5_002):
        follower.give(StoredEvent(position, ACCOUNT, "", 0, "equity", AT, {}))
    assert asyncio.run(follower.next()) is None


async def test_what_is_told_is_kept_in_the_order_it_was_told(tmp_path: Path) -> None:
    async with logs(tmp_path) as (log, database):
        await begin(database, "r")
        hear = log.listener(ACCOUNT)
        for number in range(500):
            hear(RunEvent("token", "r", AT, {"agent": "risk", "text": str(number)}))
        last = await log.append(ACCOUNT, "message", {"amount": Decimal("1.50"), "at": AT}, run_id="r")
        assert last.data == {"amount": "1.5", "at": "2025-03-03T00:00:00Z"}
        async with database.reading() as uow:
            kept = await uow.events.of_run("r", 0, 1_000)
        assert [event.sequence for event in kept] == list(range(1, 502))
        assert [event.data["text"] for event in kept[:-1]] == [str(number) for number in range(500)]


async def test_the_last_event_of_a_run_is_left_to_whoever_ends_it(tmp_path: Path) -> None:
    async with logs(tmp_path) as (log, database):
        record = await begin(database, "r")
        log.listener(ACCOUNT)(RunEvent("run_done", "r", AT, {}))
        await log.flush()
        assert await end(database, record)
        assert not await end(database, record), "a run that is over is not told to end twice"
        assert [event.kind for event in await gathered(log, "r")] == ["run_done"]


async def test_what_cannot_be_kept_holds_up_nothing_else(tmp_path: Path) -> None:
    async with logs(tmp_path) as (log, database):
        log.tell("nobody's", "equity", {})
        kept = asyncio.create_task(log.append(ACCOUNT, "equity", {"equity": Decimal(3)}))
        with pytest.raises(LedgerError):
            await log.append("nobody's", "equity", {})
        assert (await kept).position > 0
        async with database.reading() as uow:
            assert len(await uow.events.after(0, None, 10)) == 1


async def test_a_teller_that_is_cancelled_takes_nothing_with_it(tmp_path: Path) -> None:
    async with logs(tmp_path) as (log, database):
        async with database.transaction():  # so that nothing can be written yet
            teller = asyncio.create_task(log.append(ACCOUNT, "equity", {"n": 1}))
            await asyncio.sleep(0.05)
            other = asyncio.create_task(log.append(ACCOUNT, "equity", {"n": 2}))
            await asyncio.sleep(0.05)
            teller.cancel()
            await asyncio.gather(teller, return_exceptions=True)
        async with asyncio.timeout(30):
            await other
        async with database.reading() as uow:
            assert [event.data["n"] for event in await uow.events.after(0, None, 10)] == [1, 2]


@pytest.mark.parametrize("state", [RunState.DONE, RunState.CANCELLED])
@pytest.mark.parametrize("late", [RunState.WAITING, RunState.FAILED, RunState.DONE])
async def test_a_run_that_is_over_stays_so_whatever_a_slow_process_says(tmp_path: Path, state: RunState, late: RunState) -> None:
    async with logs(tmp_path) as (log, database):
        record = await begin(database, "r")
        assert await end(database, record, state)
        assert not await end(database, record, late)
        async with database.reading() as uow:
            known = await uow.runs.get("r")
        assert known is not None
        assert (known.state, known.ended_at) == (state, AT)
        assert len(await gathered(log, "r")) == 1


async def test_a_run_is_followed_from_any_point_to_its_end(tmp_path: Path) -> None:
    async with logs(tmp_path) as (log, database):
        record = await begin(database, "r")
        for number in range(5):
            await log.append(ACCOUNT, "token", {"text": str(number)}, run_id="r")
        following = [asyncio.create_task(gathered(log, "r", after)) for after in range(6)]
        await asyncio.sleep(0.05)
        for number in range(5, 1_200):
            log.tell(ACCOUNT, "token", {"text": str(number)}, run_id="r")
        await log.flush()
        await end(database, record)
        log.wake()
        for after, task in enumerate(following):
            async with asyncio.timeout(30):
                told = await task
            assert [event.sequence for event in told] == list(range(after + 1, 1_202))
        assert [event.kind for event in await gathered(log, "r", 1_200)] == ["run_done"], "also when it was over before"
        assert await gathered(log, "r", 1_201) == []


async def test_waiting_does_not_end_the_following(tmp_path: Path) -> None:
    async with logs(tmp_path) as (log, database):
        record = await begin(database, "r")
        following = asyncio.create_task(gathered(log, "r"))
        await end(database, record, RunState.WAITING)
        await asyncio.sleep(0.1)
        assert not following.done()
        await end(database, record, RunState.CANCELLED)
        async with asyncio.timeout(30):
            assert [event.kind for event in await following] == ["run_waiting", "run_cancelled"]


async def test_there_is_no_following_of_a_run_that_is_not_there(tmp_path: Path) -> None:
    async with logs(tmp_path) as (log, _):
        with pytest.raises(UnknownRun):
            await gathered(log, "nothing")


async def test_accounts_are_followed_across_processes_without_loss_or_repeat(tmp_path: Path) -> None:
    async with logs(tmp_path) as (log, _), await Database.open(tmp_path / "desk.db") as elsewhere:
        async with EventLog(elsewhere, SystemClock()).open() as other:
            seen: dict[str, list[StoredEvent]] = {"all": [], "one": [], "late": []}

            async def follow(name: str, accounts: tuple[str, ...], after: int | None) -> None:
                async with aclosing(log.follow(accounts, after)) as events:
                    async for event in events:
                        seen[name].append(event)

            tasks = [
                asyncio.create_task(follow("all", (ACCOUNT, OTHER), 0)),
                asyncio.create_task(follow("one", (ACCOUNT,), 0)),
            ]
            for number in range(200):
                (log if number % 3 else other).tell(OTHER if number % 2 else ACCOUNT, "equity", {"n": number})
                if number == 100:
                    await asyncio.gather(log.flush(), other.flush())
                    tasks.append(asyncio.create_task(follow("late", (ACCOUNT,), None)))
                    await asyncio.sleep(0.05)
            await asyncio.gather(log.flush(), other.flush())
            await until(lambda: [len(told) for told in seen.values()] == [200, 100, 49])
            await asyncio.sleep(0.3)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert sorted(event.data["n"] for event in seen["all"]) == list(range(200))
            assert [event.position for event in seen["all"]] == sorted({event.position for event in seen["all"]})
            assert sorted(event.data["n"] for event in seen["one"]) == list(range(0, 200, 2))
            assert sorted(event.data["n"] for event in seen["late"]) == list(range(102, 200, 2)), "from its joining on"
            assert log.following == 0


async def test_a_thousand_followers_cost_one_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with logs(tmp_path) as (log, database):
        tasks = [asyncio.create_task(_first(log, 3)) for _ in range(1_000)]
        await until(lambda: log.following == 1_000)
        await asyncio.sleep(0.1)
        readings = 0
        reading = database.reading

        def counted() -> object:
            nonlocal readings
            readings += 1
            return reading()

        monkeypatch.setattr(database, "reading", counted)
        for number in range(3):
            await log.append(ACCOUNT, "equity", {"n": number})
        async with asyncio.timeout(30):
            told = await asyncio.gather(*tasks)
        assert all(one == [0, 1, 2] for one in told)
        assert readings <= 10, "as many as there were commits and waits, however many follow"


async def _first(log: EventLog, count: int) -> list[object]:
    seen: list[object] = []
    async with aclosing(log.follow((ACCOUNT,), 0)) as events:
        async for event in events:
            seen.append(event.data["n"])
            if len(seen) == count:
                break
    return seen


async def test_closing_the_log_ends_every_following_and_keeps_what_was_told(tmp_path: Path) -> None:
    async with ledger(tmp_path) as database:
        async with EventLog(database, SystemClock()).open() as log:
            await begin(database, "r")
            following = [asyncio.create_task(gathered(log, "r")), asyncio.create_task(_first(log, 5))]
            await asyncio.sleep(0.05)
            log.tell(ACCOUNT, "token", {"n": 1}, run_id="r")
        async with asyncio.timeout(30):
            assert [len(told) for told in await asyncio.gather(*following)] == [1, 1]


async def test_one_event_that_nobody_can_keep_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = EventsRepository.append_many

    async def odd(self: EventsRepository, events: Sequence[NewEvent]) -> tuple[StoredEvent, ...]:
        if any(event.kind == "token" for event in events):
            raise RuntimeError("nobody thought of this")
        return await real(self, events)

    monkeypatch.setattr(EventsRepository, "append_many", odd)
    async with logs(tmp_path) as (log, database):
        log.tell(ACCOUNT, "equity", {})
        log.tell(ACCOUNT, "token", {})
        async with asyncio.timeout(30):
            await log.append(ACCOUNT, "paused", {})
        async with database.reading() as uow:
            assert [event.kind for event in await uow.events.after(0, None, 9)] == ["equity", "paused"]


async def test_whoever_follows_goes_on_after_a_reading_that_broke_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with logs(tmp_path) as (log, database):
        record = await begin(database, "r")
        following = asyncio.create_task(gathered(log, "r"))
        await until(lambda: log.following == 1)
        await asyncio.sleep(0.1)

        async def odd(*_: object) -> tuple[StoredEvent, ...]:
            raise RuntimeError("nobody thought of this")

        with monkeypatch.context() as patch:
            patch.setattr(EventsRepository, "after", odd)
            log.wake()
            await until(lambda: "could not be read" in caplog.text)
        await end(database, record)
        async with asyncio.timeout(30):
            assert [event.kind for event in await following] == ["run_done"]
