"""What tests of schedules stand on: a ledger with one account, somebody who may, and a clock that is told the time."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from graph.schedules.plan import Plan
from graph.schedules.scheduler import Scheduler
from graph.schedules.service import Schedules
from trading_core.auth.permissions import Principal, operator
from trading_core.domain.portfolio import Portfolio
from trading_core.persistence.desk_records import Schedule, StoredEvent
from trading_core.persistence.records import RunRecord, RunState
from trading_core.persistence.session import Database

ACCOUNT = "practice"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
EVERY_MINUTE = Plan("minutely", every_seconds=60)
BOSS = operator("boss", ACCOUNT)


class ToldClock:
    """A clock that jumps where it is told to, back as well: machines' clocks do."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Works:
    """A process that runs the account, as far as the scheduler knows."""

    def __init__(self, accounts: Collection[str] = (ACCOUNT,)) -> None:
        self.accounts, self.woken = accounts, 0

    def wake(self) -> None:
        self.woken += 1


class Timetable:
    """A ledger, its schedules, and a process that keeps them."""

    def __init__(self, database: Database, clock: ToldClock) -> None:
        self.database, self.clock, self.works = database, clock, Works()
        self.schedules = Schedules(database, clock)
        self.scheduler = self.process("one")

    def process(self, holder: str) -> Scheduler:
        return Scheduler(self.schedules, self.works, self.database, self.clock, holder)

    async def look(self, after: timedelta | float = 0) -> int:
        self.clock.at += after if isinstance(after, timedelta) else timedelta(seconds=after)
        return await self.scheduler.look()

    async def add(self, plan: Plan = EVERY_MINUTE, who: Principal = BOSS) -> Schedule:
        return await self.schedules.add(who, ACCOUNT, plan)

    async def runs(self) -> tuple[RunRecord, ...]:
        """Oldest first."""
        async with self.database.reading() as uow:
            return tuple(reversed(await uow.runs.recent(1_000)))

    async def end_runs(self) -> None:
        async with self.database.transaction() as uow:
            for run in await uow.runs.recent(1_000):
                if run.state in (RunState.QUEUED, RunState.RUNNING):
                    await uow.runs.set_state(run.id, RunState.DONE, at=self.clock.now())

    async def told(self, kind: str = "tick_skipped") -> list[StoredEvent]:
        async with self.database.reading() as uow:
            return [event for event in await uow.events.after(0, (ACCOUNT,), 10_000) if event.kind == kind]

    async def reasons(self) -> list[object]:
        return [event.data["reason"] for event in await self.told()]


async def open_timetable(database: Database, at: datetime = NOON) -> Timetable:
    """A timetable over an empty ledger, with the account on record."""
    async with database.transaction() as uow:
        await uow.portfolios.open_account(Portfolio.opened(ACCOUNT, "USDT", Decimal(100_000)), "paper", at)
    return Timetable(database, ToldClock(at))
