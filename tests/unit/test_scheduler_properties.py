"""Whatever the clock, the processes and the outages do: no tick runs twice, and the policy for missed ones holds."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graph.schedules.plan import Plan
from graph.schedules.scheduler import GRACE
from graph.schedules.timetable import ticks_after
from tests.unit.schedule_cases import ACCOUNT, BOSS, Timetable, open_timetable
from trading_core.persistence.desk_records import Misfire, Overlap
from trading_core.persistence.session import Database

# Seconds that the clock moves (back as well, or far over an outage), and how many processes then look at once.
STEPS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 90), st.integers(-400, 400), st.integers(0, 200_000)),
        st.integers(0, 3),
        st.sampled_from(["", "", "", "end runs", "pause", "lift"]),
    ),
    max_size=20,
)
TIMING = st.one_of(
    st.integers(10, 7_200).map(lambda every: Plan("p", every_seconds=every)),
    st.sampled_from(["* * * * *", "*/5 * * * *", "7 * * * *", "30 2 * * *"]).map(
        lambda cron: Plan("p", cron=cron, timezone="Europe/Berlin")
    ),
)
NUMBERS = itertools.count()


PLANS = st.builds(
    lambda timing, misfire, overlap: replace(timing, misfire=misfire, overlap=overlap),
    TIMING, st.sampled_from(Misfire), st.sampled_from(Overlap),
)  # fmt: skip


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PLANS, STEPS)
def test_no_tick_runs_twice_and_the_policy_holds(tmp_path: Path, plan: Plan, steps: list[tuple[int, int, str]]) -> None:
    asyncio.run(_live_through(tmp_path / f"{next(NUMBERS)}.db", plan, steps))


@pytest.mark.slow
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PLANS, STEPS)
def test_no_tick_runs_twice_in_many_histories(tmp_path: Path, plan: Plan, steps: list[tuple[int, int, str]]) -> None:
    asyncio.run(_live_through(tmp_path / f"{next(NUMBERS)}.db", plan, steps))


async def _live_through(location: Path, plan: Plan, steps: list[tuple[int, int, str]]) -> None:
    async with await Database.open(str(location)) as database:
        desk = await open_timetable(database)
        schedule = await desk.add(plan)
        processes = [desk.process(str(number)) for number in range(3)]
        ran: dict[str, int] = {}
        for seconds, many, act in steps:
            desk.clock.at += timedelta(seconds=seconds)
            paused = await _act(desk, schedule.id, act)
            known = {run.id for run in await desk.runs()}
            await asyncio.gather(*(process.look() for process in processes[:many]))
            new = [run for run in await desk.runs() if run.id not in known]
            assert len(new) <= 1  # of all that passed since, one at most
            for run in new:
                assert not paused
                ran[run.id] = ran.get(run.id, 0) + 1
                tick = _tick_of(run.id)
                assert tick <= desk.clock.at
                assert next(ticks_after(schedule, tick - timedelta(seconds=1))) == tick
                if plan.misfire is Misfire.SKIP:
                    assert desk.clock.at - tick <= GRACE
        assert set(ran.values()) <= {1}
        open_runs = [run for run in await desk.runs() if run.state.value in ("queued", "running")]
        assert len(open_runs) <= (1 if plan.overlap is Overlap.SKIP else 2)
        skipped = [str(event.data["tick"]) for event in await desk.told()]
        assert len(set(skipped)) == len(skipped)
        assert not {f"{schedule.id}-{tick.replace('-', '').replace(':', '')}" for tick in skipped} & set(ran)


async def _act(desk: Timetable, schedule_id: str, act: str) -> bool:
    """Do what a person or a desk does meanwhile; whether the schedule is paused now."""
    async with desk.database.reading() as uow:
        paused = bool(await uow.pauses.of_account(ACCOUNT))
    if act == "end runs":
        await desk.end_runs()
    elif act == "pause" and not paused:
        await desk.schedules.pause(BOSS, schedule_id, "a test")
        return True
    elif act == "lift" and paused:
        await desk.schedules.resume(BOSS, schedule_id)
        return False
    return paused


def _tick_of(run_id: str) -> datetime:
    return datetime.strptime(run_id.rpartition("-")[2], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
