"""Who keeps which timetable: adding, changing, pausing and removing schedules, each with who did it on the audit trail."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime

from graph.control.pauses import Pauses
from graph.runs.ids import run_id_of
from graph.runs.queue import queue_run
from graph.schedules.plan import Plan
from graph.schedules.standing import Standing, standing
from graph.schedules.timetable import next_ticks
from trading_core.audit.entry import AuditAction, AuditEntry, SubjectKind, difference, recorded
from trading_core.auth.permissions import Action, Principal
from trading_core.domain.clock import Clock
from trading_core.domain.errors import InvalidInput, RunError, UnknownRun
from trading_core.persistence.desk_records import Pause, PauseKind, RunRequest, Schedule, Trigger
from trading_core.persistence.records import RunKind, RunRecord
from trading_core.persistence.repositories.schedules import other_version
from trading_core.persistence.session import Database
from trading_core.persistence.unit_of_work import UnitOfWork

MOST_SCHEDULES = 100  # of one account


def _random_id() -> str:
    return f"sched-{secrets.token_hex(6)}"


class Schedules:
    """Every method raises NotPermitted when the principal may not do it on the schedule's account.

    A schedule's runs are made with the rights of the desk's agents, never with those of a person. But somebody has to answer for
    it: the one who added or last changed it. When that person may no longer submit on the account, its ticks are skipped.

    Args:
        new_id: makes the ids of new schedules.
    """

    def __init__(self, database: Database, clock: Clock, new_id: Callable[[], str] = _random_id) -> None:
        self._database, self._clock, self._new_id = database, clock, new_id
        self._pauses = Pauses(database, clock)

    async def add(self, who: Principal, account_id: str, plan: Plan) -> Schedule:
        """Keep a new timetable from now on.

        Raises:
            InvalidInput: the plan cannot be kept, its name is taken, or there are too many.
            LedgerError: there is no such account.
        """
        who.require(Action.SUBMIT, account_id)
        async with self._database.transaction() as uow:
            now = self._clock.now()
            await uow.claims.take(account_id)  # two who add at once are counted one after the other
            await plan.check(uow, account_id, now)
            await self._check_place(uow, account_id, plan.name)
            made = Schedule(self._new_id(), account_id, plan.name, who.name, plan.symbols, now, now)
            schedule = plan.on(made)
            await uow.schedules.add(schedule)
            await self._write_down(uow, who, AuditAction.SCHEDULE_ADDED, None, schedule, now)
            return schedule

    async def change(self, who: Principal, schedule_id: str, plan: Plan, expected_version: int) -> Schedule:
        """Put another plan in the place of a schedule's; whoever does answers for it from now on. Where its timing changes, ticks
        that were still open are over.

        Raises:
            InvalidInput: the plan cannot be kept.
            UnknownRun: there is no such schedule.
            LedgerError: somebody else changed it since `expected_version`.
        """
        async with self._database.transaction() as uow:
            before = await self._known(uow, who, schedule_id, Action.SUBMIT)
            now = self._clock.now()
            await plan.check(uow, before.account_id, now)
            await self._check_place(uow, before.account_id, plan.name, but=schedule_id)
            wanted = plan.on(replace(before, owner=who.name, updated_at=now))
            if wanted == replace(before, updated_at=now) and expected_version == before.version:
                return before
            after = await uow.schedules.change(wanted, expected_version)
            if plan.timing != Plan.of(before).timing:
                await uow.schedules.take_tick(schedule_id, now)
            await self._write_down(uow, who, AuditAction.SCHEDULE_CHANGED, before, after, now)
            return await uow.schedules.get(schedule_id) or after

    async def remove(self, who: Principal, schedule_id: str, expected_version: int | None = None) -> Schedule:
        """Have no more ticks. Runs that it asked for go on, and stay on record.

        Args:
            expected_version: only at this one; None for whichever.

        Raises:
            UnknownRun: there is no such schedule.
            LedgerError: somebody else changed it since `expected_version`.
        """
        async with self._database.transaction() as uow:
            before = await self._known(uow, who, schedule_id, Action.SUBMIT)
            now = self._clock.now()
            await uow.pauses.lift(before.account_id, PauseKind.SCHEDULE, schedule_id)  # first, as whoever resumes it
            if not await uow.schedules.delete(schedule_id, now, expected_version):
                raise unknown_schedule(schedule_id) if expected_version is None else other_version(schedule_id, expected_version)
            await self._write_down(uow, who, AuditAction.SCHEDULE_DELETED, before, None, now)
            return before

    async def pause(self, who: Principal, schedule_id: str, reason: str) -> Pause:
        """Skip its ticks until it is resumed."""
        return await self._pauses.put(who, await self._account_of(schedule_id), PauseKind.SCHEDULE, schedule_id, reason)

    async def resume(self, who: Principal, schedule_id: str, reason: str = "") -> Pause:
        """Let its ticks run again, from the next one on.

        Raises:
            RunError: it was not paused.
        """
        return await self._pauses.lift(who, await self._account_of(schedule_id), PauseKind.SCHEDULE, schedule_id, reason)

    async def get(self, who: Principal, schedule_id: str) -> Schedule:
        """One schedule.

        Raises:
            UnknownRun: there is no such schedule.
        """
        async with self._database.reading() as uow:
            return await self._known(uow, who, schedule_id, Action.READ_RISK)

    async def all(self, who: Principal, accounts: Collection[str] | None = None) -> tuple[Schedule, ...]:
        """Those of the accounts, or of all that the principal may see, by account and name."""
        if accounts is not None:
            for account_id in accounts:
                who.require(Action.READ_RISK, account_id)
        else:
            who.require(Action.READ_RISK)
        async with self._database.reading() as uow:
            return await uow.schedules.all(who.accounts if accounts is None else accounts)

    async def find(self, who: Principal, name_or_id: str, account_id: str | None = None) -> Schedule:
        """The one schedule with an id or a name, among those that the principal may see.

        Raises:
            RunError: there is none, or more than one.
        """
        known = await self.all(who, None if account_id is None else (account_id,))
        found = [each for each in known if name_or_id in (each.id, each.name)]
        if not found:
            raise unknown_schedule(name_or_id)
        if len(found) > 1:
            raise RunError(
                f"{len(found)} schedules are called {name_or_id!r}",
                not_done="Nothing was done",
                next_step=f"Give the id: {', '.join(each.id for each in found)}",
            )
        return found[0]

    async def standing(self, who: Principal, schedule: Schedule) -> Standing:
        """How a schedule stands now: what it has used today, what became of its last tick, and what keeps it from the next."""
        who.require(Action.READ_RISK, schedule.account_id)
        async with self._database.reading() as uow:
            return await standing(uow, schedule, self._clock.now())

    async def ask_now(self, who: Principal, schedule_id: str, key: str) -> RunRecord:
        """Ask for its run now, beside its ticks; the same key again asks for the same run. What it uses counts for the schedule.

        Raises:
            RunError: everything on the account is paused.
        """
        async with self._database.transaction() as uow:
            schedule = await self._known(uow, who, schedule_id, Action.SUBMIT)
            request = RunRequest(
                run_id_of(RunKind.CYCLE, who.name, key),
                schedule.account_id,
                who.name,
                Trigger.OPERATOR,
                {"symbols": list(schedule.symbols)},
                self._clock.now(),
                schedule_id=schedule.id,
            )
            return await queue_run(uow, RunKind.CYCLE, request)

    def next_ticks(self, schedule: Schedule, count: int) -> tuple[datetime, ...]:
        """The next `count` instants at which it is due, UTC."""
        return next_ticks(schedule, self._clock.now(), count)

    async def _account_of(self, schedule_id: str) -> str:
        async with self._database.reading() as uow:
            schedule = await uow.schedules.get(schedule_id)
        if schedule is None or schedule.deleted_at is not None:
            raise unknown_schedule(schedule_id)
        return schedule.account_id

    @staticmethod
    async def _known(uow: UnitOfWork, who: Principal, schedule_id: str, action: Action) -> Schedule:
        schedule = await uow.schedules.get(schedule_id)
        # Whether there is one on an account that is none of theirs is nobody's business.
        if schedule is None or schedule.deleted_at is not None or schedule.account_id not in who.accounts:
            raise unknown_schedule(schedule_id)
        who.require(action, schedule.account_id)
        return schedule

    @staticmethod
    async def _check_place(uow: UnitOfWork, account_id: str, name: str, but: str | None = None) -> None:
        others = [schedule for schedule in await uow.schedules.all((account_id,)) if schedule.id != but]
        if len(others) >= MOST_SCHEDULES:
            raise InvalidInput(
                f"account {account_id!r} has {len(others)} schedules, and may have {MOST_SCHEDULES}",
                not_done="The schedule was not kept",
                next_step="Remove one that is not needed",
            )
        if name.casefold() in {schedule.name.casefold() for schedule in others}:
            raise InvalidInput(
                f"account {account_id!r} has a schedule called {name!r}",
                not_done="The schedule was not kept",
                next_step="Choose another name, or change that one",
            )

    @staticmethod
    async def _write_down(
        uow: UnitOfWork, who: Principal, action: AuditAction, before: Schedule | None, after: Schedule | None, at: datetime
    ) -> None:
        was: Mapping[str, object] | None
        is_now: Mapping[str, object] | None
        if before is not None and after is not None:
            was, is_now = difference(before, after)
        else:
            was, is_now = (None if one is None else recorded(one) for one in (before, after))
        changed = after or before
        assert changed is not None  # noqa: S101  # a change is of something
        await uow.audit.append(AuditEntry(at, who.name, action, SubjectKind.SCHEDULE, changed.id, was, is_now))


def unknown_schedule(schedule_id: str) -> UnknownRun:
    """The one answer for schedules that are not there and those that are none of the caller's."""
    return UnknownRun(f"there is no schedule {schedule_id!r}", not_done="Nothing was done", next_step="List the schedules")
