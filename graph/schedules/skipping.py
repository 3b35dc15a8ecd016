"""Why a tick is skipped. Asked when it is due, inside the transaction that deals with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from graph.control.budgets import spent_by_schedule
from graph.control.pauses import Paused
from trading_core.auth.identity import user_principal
from trading_core.auth.permissions import Action
from trading_core.persistence.desk_records import Overlap, Pause, Schedule
from trading_core.persistence.records import RunState
from trading_core.persistence.unit_of_work import UnitOfWork

_USER = "user:"  # how the names of users' principals begin; the others are of the machine itself
_AT_WORK = frozenset({RunState.QUEUED, RunState.RUNNING})  # one that waits for an operator holds nobody up


class SkipReason(StrEnum):
    MISSED = "missed"  # it passed while nobody was there, and is not made up for
    OWNER = "owner"  # nobody who may answers for the schedule
    PAUSED = "paused"
    OVERLAP = "overlap"  # the run of an earlier tick is not over
    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class Skip:
    """That a tick is skipped; `detail` says why, for people."""

    reason: SkipReason
    detail: str


async def why_skip(uow: UnitOfWork, schedule: Schedule, now: datetime) -> Skip | None:
    """What stands against a run of the schedule at this moment; None when nothing does."""
    return (
        await _owner(uow, schedule)
        or await _paused(uow, schedule)
        or await _overlap(uow, schedule)
        or await _budget(uow, schedule, now)
    )


async def _owner(uow: UnitOfWork, schedule: Schedule) -> Skip | None:
    if not schedule.owner.startswith(_USER):
        return None  # the person at the machine, who needs no right of ours, or the desk itself
    owner = await user_principal(uow, schedule.owner)
    if owner is None:
        return Skip(SkipReason.OWNER, f"{schedule.owner}, who answers for it, is deactivated or gone")
    if not owner.may(Action.SUBMIT, schedule.account_id):
        return Skip(SkipReason.OWNER, f"{schedule.owner}, who answers for it, may no longer submit on {schedule.account_id}")
    return None


async def _paused(uow: UnitOfWork, schedule: Schedule) -> Skip | None:
    paused = await Paused.of(uow, schedule.account_id)
    if (pause := paused.everything) is not None:
        return Skip(SkipReason.PAUSED, _said("everything is", pause))
    if (pause := paused.schedule(schedule.id)) is not None:
        return Skip(SkipReason.PAUSED, _said("it is", pause))
    stopped = [paused.symbol(symbol) for symbol in schedule.symbols]
    if stopped and all(stopped) and stopped[0] is not None:
        return Skip(SkipReason.PAUSED, _said("all its symbols are", stopped[0]))
    return None


def _said(what: str, pause: Pause) -> str:
    return f"{what} paused by {pause.by}: {pause.reason}"


async def _overlap(uow: UnitOfWork, schedule: Schedule) -> Skip | None:
    found = [await uow.runs.get(run_id) for run_id in await uow.run_requests.open_of_schedule(schedule.id)]
    at_work = [run for run in found if run is not None and run.state in _AT_WORK]
    if not at_work:
        return None
    if schedule.overlap is Overlap.SKIP:
        return Skip(SkipReason.OVERLAP, f"run {at_work[0].id} is not over")
    queued = [run for run in at_work if run.state is RunState.QUEUED]
    return Skip(SkipReason.OVERLAP, f"run {queued[0].id} waits for its turn already") if queued else None


async def _budget(uow: UnitOfWork, schedule: Schedule, now: datetime) -> Skip | None:
    budget = schedule.budget
    if budget.tokens is None and budget.cost is None and budget.orders is None:
        return None
    beyond = (await spent_by_schedule(uow, schedule.id, now)).beyond(budget)
    return Skip(SkipReason.BUDGET, beyond) if beyond else None
