"""When the desk runs by itself."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import RowMapping, or_, select, update

from trading_core.domain.errors import LedgerError
from trading_core.persistence.desk_records import Schedule
from trading_core.persistence.desk_tables import schedules
from trading_core.persistence.repositories.base import Repository, columns
from trading_core.persistence.repositories.budgets import with_budget, with_budget_columns

# A change leaves these alone: who and what a schedule is, and what only its ticks move.
_FIXED = frozenset({"id", "account_id", "created_at", "last_tick", "version", "deleted_at"})


class SchedulesRepository(Repository):
    async def add(self, schedule: Schedule) -> None:
        """Write a new schedule.

        Raises:
            LedgerError: the id is taken.
        """
        await self._write(schedules.insert(), with_budget_columns(columns(schedule)))

    async def get(self, schedule_id: str) -> Schedule | None:
        """One schedule, a deleted one too."""
        row = await self._one(select(schedules).where(schedules.c.id == schedule_id))
        return None if row is None else _schedule(row)

    async def all(self, accounts: Collection[str]) -> tuple[Schedule, ...]:
        """Those of the accounts that were not deleted, by account, name and id."""
        if not accounts:
            return ()
        query = select(schedules).where(schedules.c.account_id.in_(sorted(accounts)), schedules.c.deleted_at.is_(None))
        rows = await self._all(query.order_by(schedules.c.account_id, schedules.c.name, schedules.c.id))
        return tuple(_schedule(row) for row in rows)

    async def change(self, schedule: Schedule, expected_version: int) -> Schedule:
        """Write a schedule over the one with its id, and give it as it now stands. Its ticks, account and start do not change.

        Raises:
            LedgerError: it is not there, or no longer at `expected_version`: somebody else changed it first.
        """
        row = {name: value for name, value in with_budget_columns(columns(schedule)).items() if name not in _FIXED}
        there = (schedules.c.id == schedule.id, schedules.c.version == expected_version, schedules.c.deleted_at.is_(None))
        changing = update(schedules).where(*there).values(**row, version=expected_version + 1).returning(*schedules.c)
        changed = (await self._connection.execute(changing)).mappings().first()
        if changed is None:
            raise other_version(schedule.id, expected_version)
        return _schedule(changed)

    async def delete(self, schedule_id: str, at: datetime, expected_version: int | None = None) -> bool:
        """Take a schedule out of use; its row stays. False when there is none in use, or none at `expected_version`."""
        there = [schedules.c.id == schedule_id, schedules.c.deleted_at.is_(None)]
        if expected_version is not None:
            there.append(schedules.c.version == expected_version)
        gone = update(schedules).where(*there).values(deleted_at=at, updated_at=at, version=schedules.c.version + 1)
        return (await self._connection.execute(gone)).rowcount == 1

    async def take_tick(self, schedule_id: str, tick: datetime) -> bool:
        """Move the schedule's last tick forward to `tick`: true for one caller in the world, who deals with it then.

        False also for a tick before the last one, and for a schedule that was deleted.
        """
        later = or_(schedules.c.last_tick.is_(None), schedules.c.last_tick < tick)
        mine = update(schedules).where(schedules.c.id == schedule_id, schedules.c.deleted_at.is_(None), later)
        return (await self._connection.execute(mine.values(last_tick=tick))).rowcount == 1

    async def set_back(self, schedule: Schedule, now: datetime) -> bool:
        """Move what a clock that was ahead has left of a schedule back to `now`: its last tick, and its beginning. False when it
        is no longer as it was.
        """
        was = (schedules.c.id == schedule.id, schedules.c.created_at == schedule.created_at)
        tick = schedules.c.last_tick
        was_dealt_with = tick.is_(None) if schedule.last_tick is None else tick == schedule.last_tick
        earlier = {"created_at": min(schedule.created_at, now), "last_tick": schedule.last_tick and min(schedule.last_tick, now)}
        return (await self._connection.execute(update(schedules).where(*was, was_dealt_with).values(**earlier))).rowcount == 1


def other_version(schedule_id: str, expected_version: int) -> LedgerError:
    """The answer to who wants to change a schedule that is no longer what it was."""
    return LedgerError(
        f"schedule {schedule_id!r} is not on record at version {expected_version}",
        not_done="It was not changed",
        next_step="Read it again, and change what it now is",
    )


def _schedule(row: RowMapping) -> Schedule:
    return Schedule(**with_budget(row))
