"""Keeping the timetables: each tick makes one run in the world, or is skipped for a reason that is told.

Any process may find a tick due. Taking it and asking for its run are one transaction, and the run's id is the schedule's and the
tick's, so neither two processes nor a crash between the two can make a second run, or lose the first.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Protocol

from graph.runs.ids import run_id_at
from graph.runs.queue import queue_run
from graph.schedules.service import Schedules
from graph.schedules.skipping import Skip, SkipReason, why_skip
from graph.schedules.standing import TICK_SKIPPED
from graph.schedules.timetable import newest_due, next_ticks
from trading_core.auth.agents import runner
from trading_core.domain.clock import Clock, iso
from trading_core.domain.errors import AlgoTrendyError
from trading_core.persistence.desk_records import Misfire, RunRequest, Schedule, Trigger
from trading_core.persistence.records import RunKind
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

LOOK_EVERY = 1.0  # seconds
AHEAD = timedelta(minutes=1)  # what was dealt with so much later than now was dealt with by a clock that was set back since
GRACE = timedelta(seconds=60)  # a tick older than this when it is found was missed; shorter intervals have a newer one by then

_log = logging.getLogger("algotrendy.schedules")


class Worker(Protocol):
    """What does runs in this process. Ticks of accounts that others run are theirs to keep."""

    @property
    def accounts(self) -> Collection[str]: ...

    def wake(self) -> None: ...


class Scheduler:
    """Looks for ticks that are due on the accounts that this process runs, and asks for their runs.

    Args:
        holder: names this process, in what it tells.
    """

    def __init__(self, schedules: Schedules, runs: Worker, database: Database, clock: Clock, holder: str) -> None:
        self._schedules, self._runs = schedules, runs
        self._database, self._clock, self._holder = database, clock, holder
        self._next: dict[str, tuple[Schedule, datetime | None]] = {}

    async def run(self) -> None:
        """Keep the timetables until cancelled. A ledger that is out of reach for a while is looked at again."""
        while True:
            try:
                await self.look()
            except AlgoTrendyError as error:
                _log.warning("schedules could not be looked at: %s", error)
            await self._clock.sleep(LOOK_EVERY)

    async def look(self) -> int:
        """Deal with every tick that is due now.

        Returns:
            How many this process dealt with.
        """
        accounts = tuple(self._runs.accounts)
        if not accounts:
            return 0
        async with self._database.reading() as uow:
            known = await uow.schedules.all(accounts)
        self._next = {schedule.id: self._next[schedule.id] for schedule in known if schedule.id in self._next}
        dealt_with = 0
        for schedule in known:
            try:
                dealt_with += await self._look_at(schedule)
            except AlgoTrendyError as error:  # the others' ticks are due all the same
                _log.warning("schedule %s of %s: %s", schedule.id, schedule.account_id, error)
            except Exception:  # one schedule that nobody can make sense of stops no other, and not the process
                _log.exception("schedule %s of %s", schedule.id, schedule.account_id)
        return dealt_with

    async def _look_at(self, schedule: Schedule) -> bool:
        now = self._clock.now()
        if max(schedule.last_tick or schedule.created_at, schedule.created_at) > now + AHEAD:
            await self._set_back(schedule, now)
            return False
        upcoming = self._upcoming(schedule)
        if upcoming is None or upcoming > now:
            return False
        tick = newest_due(schedule, now)
        return tick is not None and await self._deal_with(schedule, tick, first=upcoming)

    async def _set_back(self, schedule: Schedule, now: datetime) -> None:
        """Have a schedule's ticks go on from now, and not from where a clock that was wrong has taken it.

        Ticks of its time that come again make no second run: a run's id is the tick's.
        """
        async with self._database.transaction() as uow:
            if await uow.schedules.set_back(schedule, now):
                _log.warning("schedule %s was ahead of the clock, and goes on from %s", schedule.id, iso(now))

    def _upcoming(self, schedule: Schedule) -> datetime | None:
        """The first tick that was not dealt with; worked out once, since a rare one is dear to find."""
        kept = self._next.get(schedule.id)
        if kept is None or kept[0] != schedule:
            start = schedule.last_tick or schedule.created_at
            kept = self._next[schedule.id] = schedule, next(iter(next_ticks(schedule, start, 1)), None)
        return kept[1]

    async def _deal_with(self, schedule: Schedule, tick: datetime, first: datetime) -> bool:
        async with self._database.transaction() as uow:
            if not await uow.schedules.take_tick(schedule.id, tick):
                return False
            now = self._clock.now()
            current = await uow.schedules.get(schedule.id) or schedule
            if await uow.runs.get(run_id_at(schedule.id, tick)) is not None:
                return False  # the clock was set back, and the tick came again
            missed = now - tick > GRACE and current.misfire is Misfire.SKIP
            skip = Skip(SkipReason.MISSED, _missed(first, tick)) if missed else await why_skip(uow, current, now)
            if skip is not None:
                await self._tell(uow, current, tick, skip, now)
            else:
                await queue_run(uow, RunKind.CYCLE, _request(current, tick, now))
        self._runs.wake()
        _log.info("tick %s of schedule %s: %s", iso(tick), schedule.id, skip.reason.value if skip else "asked for its run")
        return True

    async def _tell(self, uow: UnitOfWork, schedule: Schedule, tick: datetime, skip: Skip, now: datetime) -> None:
        told = {
            "schedule": schedule.id,
            "name": schedule.name,
            "tick": iso(tick),
            "reason": skip.reason.value,
            "detail": skip.detail,
            "by": self._holder,
        }
        await uow.events.append(schedule.account_id, "", TICK_SKIPPED, now, told)


def _request(schedule: Schedule, tick: datetime, now: datetime) -> RunRequest:
    return RunRequest(
        run_id=run_id_at(schedule.id, tick),
        account_id=schedule.account_id,
        requested_by=runner(schedule.account_id).name,
        trigger=Trigger.SCHEDULE,
        payload={"symbols": list(schedule.symbols)},
        requested_at=now,
        schedule_id=schedule.id,
    )


def _missed(first: datetime, tick: datetime) -> str:
    if first == tick:
        return f"nobody was there at {iso(tick)}"
    return f"nobody was there from {iso(first)} to {iso(tick)}; none of the ticks between is made up for"
