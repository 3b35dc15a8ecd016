"""One run for each tick, or a reason why not: misfires, overlap, budgets, pauses and owners, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from graph.control.pauses import Pauses
from graph.runs.ids import run_id_at
from graph.runs.queue import queue_run
from graph.schedules import scheduler
from tests.unit.schedule_cases import ACCOUNT, BOSS, EVERY_MINUTE, NOON, Timetable, open_timetable
from trading_core.auth.identity import principal_of
from trading_core.auth.roles import Role
from trading_core.domain.errors import RunError
from trading_core.persistence.desk_records import Budget, Misfire, Overlap, PauseKind, RunRequest, Schedule, Trigger
from trading_core.persistence.identity_records import User
from trading_core.persistence.records import DecisionRecord, Outcome, RunKind, RunState
from trading_core.persistence.session import Database


@pytest.fixture
async def desk(location: str) -> AsyncIterator[Timetable]:
    async with await Database.open(location) as database:
        yield await open_timetable(database)


@pytest.fixture
async def local(sqlite_copy: object) -> AsyncIterator[Timetable]:
    async with await Database.open(str(sqlite_copy)) as database:
        yield await open_timetable(database)


async def test_a_tick_asks_for_its_run_once(desk: Timetable) -> None:
    schedule = await desk.add(replace(EVERY_MINUTE, symbols=("BTC/USDT",)))
    assert await desk.look(59) == 0
    assert await desk.look(1) == 1
    assert await desk.look() == 0
    (run,) = await desk.runs()
    assert (run.id, run.state) == (run_id_at(schedule.id, NOON + timedelta(minutes=1)), RunState.QUEUED)
    async with desk.database.reading() as uow:
        request = await uow.run_requests.get(run.id)
    assert request is not None
    assert (request.trigger, request.schedule_id, request.payload) == (Trigger.SCHEDULE, schedule.id, {"symbols": ["BTC/USDT"]})
    assert request.requested_by == "runner"  # never with the rights of whoever made the schedule
    assert [event.run_id for event in await desk.told("run_queued")] == [run.id]
    assert desk.works.woken == 1


async def test_eight_processes_make_one_run(desk: Timetable) -> None:
    await desk.add()
    desk.clock.at += timedelta(seconds=60)
    assert sum(await asyncio.gather(*(desk.process(str(n)).look() for n in range(8)))) == 1
    assert len(await desk.runs()) == 1


async def test_ticks_of_accounts_that_others_run_are_left_to_them(local: Timetable) -> None:
    await local.add()
    local.works.accounts = ()
    assert await local.look(60) == 0


@pytest.mark.parametrize(("misfire", "runs", "skipped"), [(Misfire.SKIP, 0, ["missed"]), (Misfire.CATCH_UP_ONCE, 1, [])])
async def test_ticks_missed_in_an_outage(local: Timetable, misfire: Misfire, runs: int, skipped: list[str]) -> None:
    schedule = await local.add(replace(EVERY_MINUTE, every_seconds=3600, misfire=misfire))
    assert await local.look(5 * 3600 + 600) == 1
    assert [run.id for run in await local.runs()] == [run_id_at(schedule.id, NOON + timedelta(hours=5))] * runs
    assert await local.reasons() == skipped
    assert await local.look() == 0


async def test_a_tick_found_within_its_grace_runs(local: Timetable) -> None:
    await local.add(replace(EVERY_MINUTE, every_seconds=3600))
    await local.look(3660)
    assert len(await local.runs()) == 1


async def test_a_tick_that_comes_too_early_for_the_last_run_is_skipped(local: Timetable) -> None:
    await local.add()
    await local.look(60)
    await local.look(60)
    assert (len(await local.runs()), await local.reasons()) == (1, ["overlap"])
    await local.end_runs()
    await local.look(60)
    assert len(await local.runs()) == 2


async def test_queued_overlap_keeps_at_most_one_waiting(local: Timetable) -> None:
    await local.add(replace(EVERY_MINUTE, overlap=Overlap.QUEUE))
    await local.look(60)
    async with local.database.transaction() as uow:
        await uow.runs.begin((await local.runs())[0].id, local.clock.now(), local.clock.now())
    await local.look(60)
    await local.look(60)
    assert [run.state for run in await local.runs()] == [RunState.RUNNING, RunState.QUEUED]
    assert await local.reasons() == ["overlap"]


async def test_a_run_that_waits_for_an_operator_holds_nobody_up(local: Timetable) -> None:
    await local.add()
    await local.look(60)
    async with local.database.transaction() as uow:
        await uow.runs.set_state((await local.runs())[0].id, RunState.WAITING, at=local.clock.now())
    await local.look(60)
    assert len(await local.runs()) == 2


@pytest.mark.parametrize(
    ("budget", "detail"),
    [
        (Budget(tokens=1_500), "1500 of 1500 tokens"),
        (Budget(cost=Decimal("0.0011")), "0.0012 of 0.0011 US dollars"),
    ],
)
async def test_a_budget_that_is_used_up_lasts_until_midnight(desk: Timetable, budget: Budget, detail: str) -> None:
    schedule = await desk.add()
    async with desk.database.transaction() as uow:  # as if it had been set while the session's model had a price
        await uow.schedules.change(replace(schedule, budget=budget), schedule.version)
    await desk.look(60)
    await _spend(desk, "openai:gpt-4.1-mini at https://api.openai.com/v1", 1_000, 500)
    await desk.end_runs()
    await desk.look(60)
    (event,) = await desk.told()
    assert event.data["reason"] == "budget"
    assert str(event.data["detail"]).startswith(detail)
    standing = await desk.schedules.standing(BOSS, await desk.schedules.get(BOSS, schedule.id))
    assert (standing.spent.tokens, standing.last_skip) == (1_500, event)
    desk.clock.at = NOON + timedelta(hours=12)
    await desk.look(60)
    assert len(await desk.runs()) == 2


async def test_dollars_of_a_model_without_a_price_are_not_guessed(local: Timetable) -> None:
    schedule = await local.add()
    async with local.database.transaction() as uow:
        await uow.schedules.change(replace(schedule, budget=Budget(cost=Decimal(5))), schedule.version)
    await local.look(60)
    await _spend(local, "openai:own at http://127.0.0.1:1/v1", 10, 10)
    await local.end_runs()
    await local.look(60)
    assert "is not known" in str((await local.told())[0].data["detail"])


async def _spend(desk: Timetable, model: str, given: int, taken: int) -> None:
    decision = DecisionRecord(
        (await desk.runs())[-1].id,
        "signal",
        "BTC/USDT",
        Outcome.ANSWERED,
        desk.clock.now(),
        model=model,
        input_tokens=given,
        output_tokens=taken,
    )
    async with desk.database.transaction() as uow:
        await uow.decisions.put(decision)


@pytest.mark.parametrize("kind", [PauseKind.EVERYTHING, PauseKind.SCHEDULE, PauseKind.SYMBOL])
async def test_what_is_paused_is_skipped_and_not_made_up_for(desk: Timetable, kind: PauseKind) -> None:
    plan = replace(EVERY_MINUTE, symbols=("BTC/USDT",), misfire=Misfire.CATCH_UP_ONCE)
    schedule, pauses = await desk.add(plan), Pauses(desk.database, desk.clock)
    subject = {PauseKind.EVERYTHING: "", PauseKind.SCHEDULE: schedule.id, PauseKind.SYMBOL: "BTC/USDT"}[kind]
    await pauses.put(BOSS, ACCOUNT, kind, subject, "a look first")
    await desk.look(60)
    assert await desk.reasons() == ["paused"]
    assert "boss: a look first" in str((await desk.told())[0].data["detail"])
    desk.clock.at += timedelta(minutes=10)  # and nobody looked
    await pauses.lift(BOSS, ACCOUNT, kind, subject)
    if kind is not PauseKind.SYMBOL:  # whose ticks are the schedule's own: those passed by unseen
        await desk.look()
        assert await desk.runs() == ()
    await desk.look(60)
    assert len(await desk.runs()) == 1


async def test_one_paused_symbol_of_two_does_not_stop_the_other(local: Timetable) -> None:
    await local.add(replace(EVERY_MINUTE, symbols=("BTC/USDT", "ETH/USDT")))
    await Pauses(local.database, local.clock).put(BOSS, ACCOUNT, PauseKind.SYMBOL, "BTC/USDT", "why not")
    await local.look(60)
    assert len(await local.runs()) == 1


async def test_the_schedule_of_somebody_who_may_no_longer_stops(desk: Timetable) -> None:
    user = User("u1", "ann", "ann@example.com", Role.TRADER, True, NOON, accounts=frozenset({ACCOUNT}))
    async with desk.database.transaction() as uow:
        await uow.users.add(user, "hash")
    schedule = await desk.add(who=principal_of(user))
    assert await desk.look(60) == 1
    await desk.end_runs()
    for change in ("role", "accounts", "active"):
        async with desk.database.transaction() as uow:
            await uow.users.set_role("u1", Role.VIEWER if change == "role" else Role.TRADER)
            await uow.users.set_accounts("u1", () if change == "accounts" else (ACCOUNT,))
            await uow.users.set_active("u1", active=change != "active")
        await desk.look(60)
    assert await desk.reasons() == ["owner"] * 3
    taken_over = await desk.schedules.change(BOSS, schedule.id, replace(EVERY_MINUTE, name="ours"), schedule.version)
    assert taken_over.owner == "boss"
    await desk.look(60)
    assert len(await desk.runs()) == 2


async def test_a_change_of_the_timing_makes_up_for_nothing(local: Timetable) -> None:
    schedule = await local.add(replace(EVERY_MINUTE, every_seconds=7_200, misfire=Misfire.CATCH_UP_ONCE))
    local.clock.at += timedelta(hours=1)
    await local.schedules.change(BOSS, schedule.id, replace(EVERY_MINUTE, misfire=Misfire.CATCH_UP_ONCE), schedule.version)
    assert await local.look(30) == 0
    assert await local.look(30) == 1


async def test_a_removed_schedule_ticks_no_more(local: Timetable) -> None:
    schedule = await local.add()
    await local.look(60)
    await local.schedules.remove(BOSS, schedule.id)
    assert await local.look(60) == 0


async def test_asking_now_makes_a_run_beside_the_ticks(local: Timetable) -> None:
    schedule = await local.add()
    first = await local.schedules.ask_now(BOSS, schedule.id, "key-0001")
    again = await local.schedules.ask_now(BOSS, schedule.id, "key-0001")
    assert (first, len(await local.runs())) == (again, 1)
    await Pauses(local.database, local.clock).put(BOSS, ACCOUNT, PauseKind.EVERYTHING, "", "lunch")
    with pytest.raises(RunError, match="paused by boss: lunch"):
        await local.schedules.ask_now(BOSS, schedule.id, "key-0002")


async def test_one_schedule_that_fails_does_not_stop_the_others(local: Timetable) -> None:
    broken, _ = await local.add(), await local.add(replace(EVERY_MINUTE, name="other"))
    async with local.database.transaction() as uow:  # its tick's run is on record with another payload
        taken = run_id_at(broken.id, NOON + timedelta(minutes=1))
        await queue_run(uow, RunKind.CYCLE, RunRequest(taken, ACCOUNT, "thief", Trigger.OPERATOR, {}, NOON))
    assert await local.look(60) == 1
    assert len(await local.runs()) == 2


async def test_a_clock_that_was_years_ahead_silences_no_schedule(desk: Timetable) -> None:
    schedule = await desk.add()
    assert await desk.look(timedelta(days=4_000)) == 1
    await desk.end_runs()
    desk.clock.at = NOON + timedelta(seconds=150)
    assert await desk.look() == 0
    assert await desk.look(60) == 1
    assert (await desk.runs())[-1].id == run_id_at(schedule.id, NOON + timedelta(minutes=3))


async def test_a_schedule_of_a_clock_that_was_ahead_begins_now(local: Timetable) -> None:
    local.clock.at += timedelta(days=4_000)
    await local.add()
    local.clock.at = NOON
    await local.look()
    assert await local.look(60) == 1


async def test_ticks_that_come_again_make_no_second_run_and_are_not_told_of(local: Timetable) -> None:
    await local.add()
    for _ in range(3):
        await local.look(60)
        await local.end_runs()
    assert len(await local.runs()) == 3
    local.clock.at = NOON + timedelta(seconds=65)  # two minutes back
    assert await local.look() == 0
    for _ in range(2):
        assert await local.look(60) == 0, "that tick had its run"
    assert await local.look(60) == 1
    assert (len(await local.runs()), await local.reasons()) == (4, [])


async def test_one_schedule_that_breaks_down_stops_no_other(
    local: Timetable, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = await local.add(replace(EVERY_MINUTE, name="a first one"))
    fine = await local.add()
    real = scheduler.next_ticks

    def odd(schedule: Schedule, after: datetime, count: int) -> tuple[datetime, ...]:
        if schedule.id == broken.id:
            raise OverflowError("date value out of range")
        return real(schedule, after, count)

    monkeypatch.setattr(scheduler, "next_ticks", odd)
    assert await local.look(60) == 1
    assert [run.id for run in await local.runs()] == [run_id_at(fine.id, NOON + timedelta(minutes=1))]
    assert "date value out of range" in caplog.text
